--- libudi for LuaJIT. Every function of udi.h is here without its prefix; udi_raw.lua tells how to call it.
--
--   local udi = require "udi"
--   local context = udi.context_create(udi.context_config())
--   local model = udi.model_load(context, "checkpoint.safetensors", udi.C.UDI_TEACHER)
--   local tokens = model:extract(images, udi.C.UDI_NCHW, udi.extract_config {token = udi.C.UDI_TOKEN_BOTH})
--
-- What a call writes it returns; a failure is an error() whose value has status, name and message, and reads as text.
-- Parameters struct_size, count, user and error are filled in here. Trailing arguments may be left out: NULL or 0.
-- udi_X_config_init is udi.X_config(..., {field = value, ...}).
-- Functions of a handle are its methods, too: udi.model_extract(model, ...) is model:extract(...). Handles are closed by
-- close(), or by the garbage collector. udi.C has the constants.
-- A progress function gets the udi_progress and returns a true value to stop. Other callbacks may run on other threads,
-- where Lua cannot: they take C function pointers alone.
local ffi = require "ffi"
local raw = require "udi_raw"

local C = ffi.load(raw.library)
local udi = {C = C, raw = raw}
local anchors = setmetatable({}, {__mode = "k"}) -- what a cdata points into lives as long as the cdata

-- ---- At load: the library is the one that udi_raw.lua was made for, or a newer one that serves ------------------------

local function version_text(version)
  return ("%d.%d.%d"):format(version / 1000000, version / 1000 % 1000, version % 1000)
end

local function side(of)
  return ("%s (ABI %d, interface %s)"):format(version_text(of.version), of.abi, of.fingerprint:sub(1, 12))
end

--- binding, library: {fingerprint, version, abi}. Returns true, or nil and why not (bindings/README.md).
function udi.fits(binding, library)
  if library.fingerprint == binding.fingerprint then return true end
  if library.abi == binding.abi and library.version > binding.version then return true end
  return nil, ("libudi %s does not fit this binding, made for %s: install a library of that version or newer " ..
    "with the same ABI"):format(side(library), side(binding))
end

for _, struct in ipairs(raw.layout) do
  local name, size, offsets = unpack(struct)
  assert(ffi.sizeof(name) == size, name)
  for field, offset in pairs(offsets) do assert(ffi.offsetof(name, field) == offset, name .. "." .. field) end
end
assert(udi.fits(raw, {
  fingerprint = ffi.string(C.udi_api_fingerprint()), version = C.udi_version(), abi = C.udi_abi_version()}))

-- ---- Handles -----------------------------------------------------------------------------------------------------------

local classes = {} -- by C type

local function class_of(type)
  if not classes[type] then
    local free, methods = type .. "_free", {}
    local class = {__index = methods, __tostring = function(self) return type .. (self.pointer and "" or " (closed)") end}
    function class.wrap(pointer) return setmetatable({pointer = ffi.gc(pointer, C[free])}, class) end
    function methods:close()
      if self.pointer then C[free](ffi.gc(self.pointer, nil)) end
      self.pointer = nil
    end
    classes[type] = class
  end
  return classes[type]
end

local function pointer_of(type, value, name)
  if value == nil then return nil end
  if getmetatable(value) ~= class_of(type) then error(("%s must be a %s, is %s"):format(name, type, tostring(value)), 0) end
  return value.pointer or error(("%s: this %s is closed"):format(name, type), 0)
end

-- ---- Calls -------------------------------------------------------------------------------------------------------------

local Failure = {__tostring = function(self) return ("%s: %s"):format(self.name, self.message) end}

local function check(status, detail)
  if status == C.UDI_OK then return end
  error(setmetatable({status = status, name = ffi.string(C.udi_status_name(status)), message = ffi.string(detail.message)},
                     Failure), 0)
end

local function new_struct(type)
  local value = ffi.new(type)
  if type ~= "udi_error" then value.struct_size = ffi.sizeof(type) end
  return value
end

local function new_array(type, kind, list, name)
  if _G.type(list) ~= "table" then error(name .. " must be a list", 0) end
  local array = ffi.new(kind == "handle" and "const " .. type .. "*[?]" or type .. "[?]", math.max(#list, 1))
  for i, item in ipairs(list) do array[i - 1] = kind == "handle" and pointer_of(type, item, name) or item end
  return array, #list
end

-- A C callback around a Lua function; what that throws stops the call and is thrown on from it.
local function new_callback(type, f)
  if type ~= "udi_progress_fn" then error(type .. " runs on any thread: a Lua function cannot", 0) end
  local holder = {}
  holder.pointer = ffi.cast(type, function(_, ...)
    local ok, stop = pcall(f, ...)
    if not ok then holder.failure = stop end
    return (not ok or (stop and stop ~= 0)) and 1 or 0
  end)
  return holder
end

local function result_of(kind, value)
  if kind == "string" then return value ~= nil and ffi.string(value) or nil end
  return kind ~= "void" and tonumber(value) or nil
end

local function taken(out, type, kind)
  if kind == "handle" then return class_of(type).wrap(out[0]) end
  if kind == "struct" then return out end
  if kind == "memory" then return out[0] end
  if kind ~= "string" then return tonumber(out[0]) end
  local text = ffi.string(out[0])
  C.udi_string_free(out[0])
  return text
end

-- Where C writes what it gives back.
local function new_out(type, kind)
  if kind == "struct" then return new_struct(type) end
  if kind == "string" then return ffi.new "char *[1]" end
  return ffi.new(type .. ((kind == "handle" or kind == "memory") and "*[1]" or "[1]"))
end

local pointers = {struct = true, string = true, callback = true, memory = true}

-- One argument for C: what the caller gave, or what is made for the call.
local function argument(call, parameter)
  local what, kind, type, direction = unpack(parameter)
  if direction == "error" then
    call.detail = new_struct "udi_error"
    return call.detail
  elseif direction == "out" or direction == "inout" then
    local out = new_out(type, kind)
    call.outs[#call.outs + 1] = {out, type, kind}
    return out
  elseif what == "struct_size" then
    return ffi.sizeof(call.outs[1][2])
  elseif what == "count" and call.count then
    return call.count
  elseif what == "user" then
    return nil
  end
  local value = call.given[call.next]
  call.next = call.next + 1
  if direction == "array" then
    value, call.count = new_array(type, kind, value, what)
  elseif kind == "handle" then
    value = pointer_of(type, value, what)
  elseif kind == "callback" and _G.type(value) == "function" then
    call.callback = new_callback(type, value)
    value = call.callback.pointer
  elseif value == nil and not pointers[kind] then
    value = 0
  end
  return value
end

local function set_fields(config, fields)
  anchors[config] = fields -- a string's bytes are Lua's
  for field, value in pairs(fields) do config[field] = value end
end

local function define(name, result, parameters)
  local f = function(...)
    local call, arguments, returned = {given = {...}, next = 1, outs = {}}, {}, {}
    for i, parameter in ipairs(parameters) do arguments[i] = argument(call, parameter) end
    local value = C[name](unpack(arguments, 1, #parameters))
    if call.callback then
      call.callback.pointer:free()
      if call.callback.failure then error(call.callback.failure, 0) end
    end
    if result == "status" then check(value, call.detail) end
    if result ~= "status" and #call.outs == 0 then return result_of(result, value) end
    for i, out in ipairs(call.outs) do returned[i] = taken(unpack(out)) end
    local rest = call.given[call.next]
    if rest and name:match "_config_init$" then set_fields(returned[1], rest) end
    if name == "udi_tensor_view" then anchors[returned[1]] = call.given[1] end
    return unpack(returned)
  end
  jit.off(f) -- what calls back into Lua must not be compiled
  return f
end

for _, entry in ipairs(raw.functions) do
  local name, result, parameters = unpack(entry)
  local first = parameters[1]
  if not (first and first[4] == "consumed") then
    local f = define(name, result, parameters)
    udi[name:gsub("^udi_", ""):gsub("_config_init$", "_config")] = f
    local prefix = first and first[2] == "handle" and first[3] .. "_"
    if prefix and name:sub(1, #prefix) == prefix then class_of(first[3]).__index[name:sub(#prefix + 1)] = f end
  end
end

-- ---- Arrays ------------------------------------------------------------------------------------------------------------

local elements = {[C.UDI_U8] = "uint8_t", [C.UDI_U16] = "uint16_t", [C.UDI_I32] = "int32_t", [C.UDI_I64] = "int64_t",
                  [C.UDI_F32] = "float", [C.UDI_F64] = "double"}

--- A udi_array over contiguous memory (cdata or a string), which lives as long as the array. shape: a list.
function udi.array(data, dtype, shape)
  local array, sizes = new_struct "udi_array", ffi.new("int64_t[?]", math.max(#shape, 1), shape)
  array.dtype, array.device_type, array.ndim, array.shape = dtype, C.UDI_CPU, #shape, sizes
  array.data = ffi.cast("void *", ffi.cast("const void *", data))
  anchors[array] = {data, sizes}
  return array
end

--- A udi_image of UDI_U8 pixels [height, width, channels], or, without sizes, of a JPEG's or PNG's bytes (a string).
function udi.image(data, height, width, channels)
  local image = new_struct "udi_image"
  image.data, image.size = ffi.cast("const void *", data), height and height * width * channels or #data
  if height then image.dtype, image.height, image.width, image.channels = C.UDI_U8, height, width, channels end
  anchors[image] = data
  return image
end

--- A tensor's memory: a typed pointer, and its shape as a list. Both are valid while the tensor is open.
function udi.read(tensor)
  local array, shape = tensor:view(), {}
  for i = 1, array.ndim do shape[i] = tonumber(array.shape[i - 1]) end
  local pointer = ffi.cast("const " .. elements[array.dtype] .. " *", array.data)
  anchors[pointer] = tensor
  return pointer, shape
end

return udi
