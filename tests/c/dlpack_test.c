/* Memory that changes hands: DLPack in and out, a caller's buffer as a tensor, and who lets go of it when.
 * tests/bindings/python/test_dlpack.py does the same with PyTorch on the other side. */
#include "dlpack.h"

static void count_deleted(managed_tensor* self) { ++*(int*)self->manager_ctx; }
static void count_released(void* user) { ++*(int*)user; }

static void test_out(void** state) {
  udi_context* context = new_context();
  udi_model* model = new_model(context);
  udi_tensor* tokens = extract_tokens(model, 0, 3);
  const udi_array view = view_of(tokens);
  managed_tensor *first = NULL, *second = NULL;
  float before[3 * 48];
  (void)state;
  memcpy(before, view.data, sizeof before);
  assert_works(udi_tensor_to_dlpack(tokens, &first, &error));
  assert_works(udi_tensor_to_dlpack(tokens, &second, &error));
  assert_int_equal(first->version.major, 1);
  assert_int_equal(first->dl_tensor.device.device_type, UDI_CPU);
  assert_int_equal(first->dl_tensor.dtype.code, FLOAT);
  assert_int_equal(first->dl_tensor.dtype.bits, 32);
  assert_int_equal(first->dl_tensor.dtype.lanes, 1);
  assert_int_equal(first->dl_tensor.ndim, 2);
  assert_int_equal(first->dl_tensor.shape[0], 3);
  assert_int_equal(first->dl_tensor.shape[1], 48);
  assert_ptr_equal((char*)first->dl_tensor.data + first->dl_tensor.byte_offset, view.data);
  /* Everything of libudi goes first: the memory stays for the two who have it. */
  udi_tensor_free(tokens);
  udi_model_free(model);
  udi_context_free(context);
  first->deleter(first);
  assert_memory_equal((char*)second->dl_tensor.data + second->dl_tensor.byte_offset, before, sizeof before);
  second->deleter(second);
}

/* Images from somebody else: read where they lie, given back once. */
static void test_in(void** state) {
  udi_context* context = new_context();
  udi_model* model = new_model(context);
  static uint8_t memory[16 + 2 * SIZE * SIZE * 3];
  int64_t shape[] = {2, SIZE, SIZE, 3}, as_nchw[] = {2, 3, SIZE, SIZE};
  int64_t strides[] = {SIZE * SIZE * 3, 1, SIZE * 3, 3};
  int deleted = 0;
  managed_tensor last = managed_of(memory, UINT, 8, shape, 4, count_deleted, &deleted);
  managed_tensor first = managed_of(memory, UINT, 8, as_nchw, 4, count_deleted, &deleted);
  udi_tensor *images = NULL, *permuted = NULL, *tokens = NULL, *same = NULL;
  (void)state;
  draw(0, SIZE, memory + 16);
  draw(1, SIZE, memory + 16 + SIZE * SIZE * 3);
  last.dl_tensor.byte_offset = first.dl_tensor.byte_offset = 16;
  first.dl_tensor.strides = strides;
  assert_works(udi_tensor_from_dlpack(context, &last, &images, &error));
  assert_works(udi_tensor_from_dlpack(context, &first, &permuted, &error));
  const udi_array view = view_of(images), other = view_of(permuted);
  assert_ptr_equal(view.data, memory + 16);
  assert_int_equal(view.dtype, UDI_U8);
  assert_int_equal(other.strides[3], 3);
  assert_works(udi_model_extract(model, &view, UDI_NHWC, NULL, &tokens, &error));
  assert_works(udi_model_extract(model, &other, UDI_NCHW, NULL, &same, &error));
  assert_memory_equal(view_of(tokens).data, view_of(same).data, 2 * 24 * sizeof(float));
  udi_context_free(context);
  udi_model_free(model);
  assert_int_equal(deleted, 0);
  udi_tensor_free(images);
  assert_int_equal(deleted, 1);
  udi_tensor_free(permuted);
  assert_int_equal(deleted, 2);
  udi_tensor_free(tokens);
  udi_tensor_free(same);
}

static void test_every_dtype_goes_through(void** state) {
  static const struct {
    int code, bits;
    udi_dtype dtype;
  } types[] = {{UINT, 8, UDI_U8},   {UINT, 16, UDI_U16},    {INT, 32, UDI_I32},   {INT, 64, UDI_I64},
               {FLOAT, 16, UDI_F16}, {BFLOAT, 16, UDI_BF16}, {FLOAT, 32, UDI_F32}, {FLOAT, 64, UDI_F64}};
  udi_context* context = new_context();
  double memory[6];
  int64_t shape[] = {2, 3};
  int deleted = 0;
  (void)state;
  for (size_t i = 0; i < sizeof types / sizeof *types; ++i) {
    managed_tensor in = managed_of(memory, types[i].code, types[i].bits, shape, 2, count_deleted, &deleted), *out = NULL;
    udi_tensor* tensor = NULL;
    assert_works(udi_tensor_from_dlpack(context, &in, &tensor, &error));
    assert_int_equal(view_of(tensor).dtype, types[i].dtype);
    assert_works(udi_tensor_to_dlpack(tensor, &out, &error));
    assert_int_equal(out->dl_tensor.dtype.code, types[i].code);
    assert_int_equal(out->dl_tensor.dtype.bits, types[i].bits);
    /* In and out again: who made the memory hears of it when the last one lets go. */
    udi_tensor_free(tensor);
    assert_int_equal(deleted, (int)i);
    assert_ptr_equal(out->dl_tensor.data, memory);
    out->deleter(out);
    assert_int_equal(deleted, (int)i + 1);
  }
  udi_context_free(context);
}

/* What is refused is the caller's still. */
static void test_refused(void** state) {
  udi_context* context = new_context();
  float memory[6] = {0};
  int64_t shape[] = {2, 3}, empty[] = {0, 3}, backwards[] = {-3, 1}, huge[] = {INT64_MAX, 3};
  int deleted = 0;
  const managed_tensor good = managed_of(memory, FLOAT, 32, shape, 2, count_deleted, &deleted);
  managed_tensor bad;
  udi_tensor* out = UNTOUCHED;
  managed_tensor* managed = UNTOUCHED;
  (void)state;
#define REFUSED(change, status, part)                                                            \
  do {                                                                                           \
    bad = good;                                                                                  \
    change;                                                                                      \
    assert_fails(udi_tensor_from_dlpack(context, &bad, &out, &error), status, part);             \
  } while (0)
  REFUSED(bad.version.major = 2, UDI_E_VERSION, "managed.version is 2.0, libudi reads DLPack 1");
  REFUSED(bad.dl_tensor.dtype.code = COMPLEX, UDI_E_UNSUPPORTED, "dtype is of code 5, 32 bits and 1 lanes");
  REFUSED(bad.dl_tensor.dtype.bits = 8, UDI_E_UNSUPPORTED, "8 bits");
  REFUSED(bad.dl_tensor.dtype.lanes = 4, UDI_E_UNSUPPORTED, "4 lanes");
  REFUSED(bad.dl_tensor.device.device_type = 8, UDI_E_DEVICE, "device is of type 8");
  REFUSED(bad.dl_tensor.device.device_type = 2, UDI_E_DEVICE, "is on GPU 0, the context is on cpu");
  REFUSED(bad.dl_tensor.ndim = 9, UDI_E_INVALID, "ndim is 9");
  REFUSED(bad.dl_tensor.ndim = -1, UDI_E_INVALID, "ndim is -1");
  REFUSED(bad.dl_tensor.shape = NULL, UDI_E_INVALID, "shape is NULL");
  REFUSED(bad.dl_tensor.shape = empty, UDI_E_SHAPE, "shape[0] is 0");
  REFUSED(bad.dl_tensor.shape = huge, UDI_E_SHAPE, "2^63 bytes");
  REFUSED(bad.dl_tensor.strides = backwards, UDI_E_INVALID, "strides[0] is -3");
  REFUSED(bad.dl_tensor.data = NULL, UDI_E_INVALID, "data is NULL");
  REFUSED(bad.dl_tensor.byte_offset = 1, UDI_E_INVALID, "not aligned");
#undef REFUSED
  assert_fails(udi_tensor_from_dlpack(NULL, &bad, &out, &error), UDI_E_INVALID, "context is NULL");
  assert_fails(udi_tensor_from_dlpack(context, NULL, &out, &error), UDI_E_INVALID, "managed is NULL");
  bad = good;
  assert_fails(udi_tensor_from_dlpack(context, &bad, NULL, &error), UDI_E_INVALID, "out is NULL");
  assert_fails(udi_tensor_to_dlpack(NULL, &managed, &error), UDI_E_INVALID, "tensor is NULL");
  assert_ptr_equal(out, UNTOUCHED);
  assert_ptr_equal(managed, UNTOUCHED);
  assert_int_equal(deleted, 0);
  udi_context_free(context);
}

static void test_wrapped(void** state) {
  udi_context* context = new_context();
  float memory[6] = {1, 2, 3, 4, 5, 6};
  const int64_t shape[] = {2, 3};
  udi_array array = array_of(memory, UDI_F32, 2, shape);
  udi_tensor *tensor = NULL, *untouched = UNTOUCHED;
  managed_tensor* out = NULL;
  int released = 0;
  (void)state;
  array.flags = 1;
  assert_fails(udi_tensor_wrap(context, &array, count_released, &released, &untouched, &error), UDI_E_INVALID,
               "array.flags is 1");
  array.flags = 0;
  assert_fails(udi_tensor_wrap(NULL, &array, count_released, &released, &untouched, &error), UDI_E_INVALID, "context");
  assert_fails(udi_tensor_wrap(context, NULL, count_released, &released, &untouched, &error), UDI_E_INVALID, "array");
  assert_fails(udi_tensor_wrap(context, &array, count_released, &released, NULL, &error), UDI_E_INVALID, "out");
  assert_ptr_equal(untouched, UNTOUCHED);
  assert_int_equal(released, 0);

  assert_works(udi_tensor_wrap(context, &array, count_released, &released, &tensor, &error));
  assert_ptr_equal(view_of(tensor).data, memory);
  memory[5] = 7; /* still the caller's own */
  assert_works(udi_tensor_to_dlpack(tensor, &out, &error));
  udi_tensor_free(tensor);
  udi_context_free(context);
  assert_int_equal(released, 0);
  assert_true(((float*)out->dl_tensor.data)[5] == 7);
  out->deleter(out);
  assert_int_equal(released, 1);
}

static void test_no_release(void** state) {
  udi_context* context = new_context();
  float memory[1] = {1};
  const udi_array array = array_of(memory, UDI_F32, 0, NULL);
  udi_tensor* tensor = NULL;
  (void)state;
  assert_works(udi_tensor_wrap(context, &array, NULL, NULL, &tensor, &error));
  udi_tensor_free(tensor);
  udi_context_free(context);
}

static void test_no_stream_on_the_cpu(void** state) {
  udi_context* context = new_context();
  (void)state;
  assert_fails(udi_context_set_stream(context, NULL, &error), UDI_E_UNSUPPORTED, "the context is on the CPU");
  assert_fails(udi_context_set_stream(NULL, NULL, &error), UDI_E_INVALID, "context is NULL");
  udi_context_free(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_out),     cmocka_unit_test(test_in),         cmocka_unit_test(test_every_dtype_goes_through),
      cmocka_unit_test(test_refused), cmocka_unit_test(test_wrapped),    cmocka_unit_test(test_no_release),
      cmocka_unit_test(test_no_stream_on_the_cpu)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
