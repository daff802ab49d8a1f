/* Prints the cls token of each image file, one line a file.
 *
 *   cc -o extract extract.c $(pkg-config --cflags --libs libudi) && ./extract model.safetensors cat.jpg dog.png
 */
#include <stdio.h>
#include <stdlib.h>
#include <udi.h>

static udi_error error;

static void check(udi_status status) {
  if (status == UDI_OK) return;
  fprintf(stderr, "%s: %s\n", udi_status_name(status), error.message);
  exit(1);
}

/* The whole file in memory; libudi decodes it. */
static udi_image read_image(const char* path) {
  FILE* file = fopen(path, "rb");
  void* bytes = NULL;
  long size = 0;
  if (file && fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) > 0 && fseek(file, 0, SEEK_SET) == 0) {
    bytes = malloc((size_t)size);
  }
  if (!bytes || fread(bytes, 1, (size_t)size, file) != (size_t)size) {
    fprintf(stderr, "%s: cannot be read, or is empty\n", path);
    exit(1);
  }
  fclose(file);
  return (udi_image){.struct_size = sizeof(udi_image), .data = bytes, .size = (uint64_t)size};
}

int main(int argc, char** argv) {
  const int count = argc - 2;
  if (count < 1) {
    fprintf(stderr, "usage: %s MODEL IMAGE...\n", argv[0]);
    return 2;
  }
  udi_image* images = calloc((size_t)count, sizeof *images);
  if (!images) return 1;
  for (int i = 0; i < count; ++i) images[i] = read_image(argv[2 + i]);

  udi_context* context;
  udi_model* model;
  udi_tensor *batch, *tokens;
  udi_array pixels = {.struct_size = sizeof pixels}, cls = {.struct_size = sizeof cls};
  check(udi_context_create(NULL, &context, &error));
  check(udi_model_load(context, argv[1], UDI_TEACHER, &model, &error));
  check(udi_model_prepare(model, images, count, &batch, &error)); /* decode, resize, centre crop */
  check(udi_tensor_view(batch, &pixels, &error));
  check(udi_model_extract(model, &pixels, UDI_NCHW, NULL, &tokens, &error));
  check(udi_tensor_view(tokens, &cls, &error));

  const float* value = cls.data;
  for (int64_t i = 0; i < cls.shape[0]; ++i) {
    for (int64_t d = 0; d < cls.shape[1]; ++d) printf("%s%.6g", d ? " " : "", *value++);
    printf("\n");
  }

  udi_tensor_free(tokens);
  udi_tensor_free(batch);
  udi_model_free(model);
  udi_context_free(context);
  for (int i = 0; i < count; ++i) free((void*)images[i].data);
  free(images);
  return 0;
}
