local bit = require "bit"
local ffi = require "ffi"
local recipe = require "recipe"
local udi = require "udi"

local function fnv1a(data, size)
  local hash, bytes = 14695981039346656037ULL, ffi.cast("const uint8_t *", data)
  for i = 0, size - 1 do hash = bit.bxor(hash, 0ULL + bytes[i]) * 1099511628211ULL end
  return bit.tohex(hash)
end

local function bits(number)
  return bit.tohex(ffi.cast("uint64_t *", ffi.new("double[1]", number))[0])
end

local images = recipe.images()
print("api " .. udi.api_fingerprint())
local context = udi.context_create(udi.context_config {num_threads = 1})
local model = recipe.model(context)
local trainer = udi.trainer_create(context, model, udi.train_config {total_steps = 3, warmup_steps = 0, seed = 3})
for step = 0, 2 do
  local views = udi.views_create(context, recipe.crops(), images, 7, step, 0)
  print(("step %d loss %s"):format(step, bits(trainer:step({views}).loss)))
  views:close()
end
model = trainer:model(udi.C.UDI_TEACHER)
local batch = model:prepare(images)
local tokens = model:extract(batch:view(), udi.C.UDI_NCHW, udi.extract_config {token = udi.C.UDI_TOKEN_BOTH})
local data, shape = udi.read(tokens)
print(("tokens %d %d %s"):format(shape[1], shape[2], fnv1a(data, shape[1] * shape[2] * 4)))
