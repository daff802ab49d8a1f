-- What bindings/README.md prescribes, in Lua: images, model and views of the tests.
local ffi = require "ffi"
local udi = require "udi"
local recipe = {}

function recipe.images()
  local images, side = {}, 48
  for n = 0, 7 do
    local pixels, i = ffi.new("uint8_t[?]", side * side * 3), 0
    for y = 0, side - 1 do
      for x = 0, side - 1 do
        for c = 0, 2 do
          pixels[i] = (29 * n + 3 * x * (n % 5 + 1) + 5 * y * (n % 3 + 1) + 71 * c + math.floor(x * y / 8)) % 256
          i = i + 1
        end
      end
    end
    images[n + 1] = udi.image(pixels, side, side, 3)
  end
  return images
end

function recipe.model(context, changes)
  local config = udi.model_config("vit_tiny", {
    image_size = 32, resize_size = 32, patch_size = 8, embed_dim = 24, depth = 2, heads = 3, srs_heads = 3, out_dim = 64,
    head_hidden_dim = 32, head_bottleneck_dim = 16})
  for field, value in pairs(changes or {}) do config[field] = value end
  return udi.model_create(context, config, 1)
end

function recipe.crops()
  return udi.view_config {global_size = 32, local_size = 16, patch_size = 8, local_crops = 2,
    global_window = 2, local_window = 1}
end

return recipe
