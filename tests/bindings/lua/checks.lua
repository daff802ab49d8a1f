-- Errors, fit and leaks as in bindings/README.md, and what is Lua's own: closed handles, foreign ones, callbacks.
local recipe = require "recipe"
local udi = require "udi"

local function fails(f, part, status)
  local ok, failure = pcall(f)
  assert(not ok, "did not fail: " .. part)
  assert(tostring(failure):find(part, 1, true), tostring(failure) .. " does not hold " .. part)
  assert(failure.status == status, tostring(failure.status))
end

local context = udi.context_create()
fails(function() udi.model_config("vit_huge") end, "UDI_E_NOT_FOUND: no architecture is called 'vit_huge'",
      udi.C.UDI_E_NOT_FOUND)
fails(function() recipe.model(context, {patch_size = 7}) end, "patch_size", udi.C.UDI_E_INVALID)

local ours = {fingerprint = ("a"):rep(64), version = 2000, abi = 0}
local function library(fingerprint, version, abi)
  return {fingerprint = fingerprint:rep(64), version = version, abi = abi}
end
assert(udi.fits(ours, library("a", 2000, 0)))
assert(udi.fits(ours, library("b", 2001, 0)))
for _, other in ipairs {library("b", 2000, 0), library("b", 1999, 0), library("b", 2001, 1)} do
  local ok, why = udi.fits(ours, other)
  assert(not ok and why:find("made for 0.2.0 (ABI 0, interface aaaaaaaaaaaa)", 1, true), why)
end

local model = recipe.model(context)
fails(function() udi.model_get_info(context) end, "model must be a udi_model, is udi_context")
assert(model:get_info().embed_dim == 24 and model:param_count() > 10)
model:close()
model:close()
fails(function() model:get_info() end, "this udi_model is closed")

local runs = 0
local job = '{"out": "' .. arg[1] .. '", "train": 20, "test": 20}'
fails(function() udi.job_run(context, "demo-data", job, function() runs = runs + 1; error("enough", 0) end) end, "enough")
fails(function() udi.job_run(context, "demo-data", job, function() return true end) end, "UDI_E_CALLBACK",
      udi.C.UDI_E_CALLBACK)
assert(runs == 1)

local function round(by_hand)
  local inner = udi.context_create(udi.context_config {num_threads = 1})
  local views = udi.views_create(inner, recipe.crops(), {unpack(recipe.images(), 1, 2)}, 7, 0, 0)
  local made = recipe.model(inner)
  assert(views:count() == 2)
  if by_hand then for _, handle in ipairs {inner, made, views} do handle:close() end end
end

local function resident() -- KiB
  collectgarbage()
  collectgarbage()
  return tonumber(io.open("/proc/self/status"):read "*a":match "VmRSS:%s*(%d+)")
end

local function rounds(count)
  for i = 1, count do
    round(i % 2 == 0)
    if i % 10 == 0 then collectgarbage() end -- Lua does not know how much memory hangs on a handle
  end
  return resident()
end
local before = rounds(100)
local grown = rounds(1000) - before
assert(grown < 8 * 1024, ("1,000 rounds grew memory by %d KiB"):format(grown))
print(("errors, fit and callbacks as promised; 1,000 rounds grew memory by %d KiB"):format(grown))
