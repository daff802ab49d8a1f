-- Trains a small model on images in memory, saves and loads it, and extracts cls tokens.
--   LUA_PATH="bindings/lua/?.lua" luajit bindings/lua/example.lua
local ffi = require "ffi"
local udi = require "udi"

local count, side, images = 16, 32, {} -- stripes of many colours, widths and directions
for n = 0, count - 1 do
  local pixels = ffi.new("uint8_t[?]", side * side * 3)
  for i = 0, side * side * 3 - 1 do
    local c, x, y = i % 3, math.floor(i / 3) % side, math.floor(i / 3 / side)
    local stripe = math.floor((x * (n % 5) + y * (n % 3 + 1)) / (n % 4 + 3)) % 2
    pixels[i] = stripe == 1 and 50 * (n % 6) or 80 * c
  end
  images[n + 1] = udi.image(pixels, side, side, 3)
end

local context = udi.context_create() -- the CPU; nothing is logged
local model = udi.model_create(context, udi.model_config("vit_tiny", {
  image_size = side, resize_size = side, patch_size = 8, embed_dim = 48, depth = 3, out_dim = 256,
  head_hidden_dim = 256}), 0)
local trainer = udi.trainer_create(context, model, udi.train_config {total_steps = 20, lr = 2e-3})
local crops = udi.view_config {global_size = side, local_size = side / 2, patch_size = 8}
for epoch = 0, 19 do -- one step an epoch, each with new crops of all images
  local views = udi.views_create(context, crops, images, 0, epoch, 0)
  print(("step %2d  loss %.4f"):format(epoch, trainer:step({views}).loss))
  views:close()
end

local path = os.tmpname()
trainer:model(udi.C.UDI_TEACHER):save(path)
model = udi.model_load(context, path, udi.C.UDI_TEACHER)
os.remove(path)
local batch = model:prepare(images)
local tokens = model:extract(batch:view(), udi.C.UDI_NCHW)
local values, shape = udi.read(tokens)
print(("cls of %d images, %d numbers each, the first %.4f"):format(shape[1], shape[2], values[0]))
