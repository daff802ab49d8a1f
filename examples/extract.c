/* Prints the cls token of each image file, one line a file.
 *
 *   cc extract.c $(pkg-config --cflags --libs libudi) && ./a.out model.safetensors cat.jpg dog.png
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

/* The whole file; the caller frees image.data. */
static udi_image read_image(const char *path) {
  udi_image image = {.struct_size = sizeof image}; /* dtype 0: an encoded file */
  FILE *file = fopen(path, "rb");
  if (file && fseek(file, 0, SEEK_END) == 0 && ftell(file) > 0) {
    image.size = (uint64_t)ftell(file);
    void *bytes = malloc(image.size);
    rewind(file);
    if (bytes && fread(bytes, 1, image.size, file) == image.size) image.data = bytes;
  }
  if (file) fclose(file);
  if (!image.data) {
    perror(path);
    exit(1);
  }
  return image;
}

int main(int argc, char **argv) {
  const int count = argc - 2;
  udi_context *context;
  udi_model *model;
  udi_tensor *batch, *tokens;
  udi_array pixels = {.struct_size = sizeof pixels}, result = {.struct_size = sizeof result};
  if (count < 1) {
    fprintf(stderr, "usage: %s MODEL IMAGE...\n", argv[0]);
    return 2;
  }

  udi_image *images = calloc((size_t)count, sizeof *images);
  if (!images) return 1;
  for (int i = 0; i < count; ++i) images[i] = read_image(argv[2 + i]);

  check(udi_context_create(NULL, &context, &error));
  check(udi_model_load(context, argv[1], UDI_TEACHER, &model, &error));
  check(udi_model_prepare(model, images, count, &batch, &error)); /* decode, resize, centre crop */
  check(udi_tensor_view(batch, &pixels, &error));
  check(udi_model_extract(model, &pixels, UDI_NCHW, NULL, &tokens, &error));
  check(udi_tensor_view(tokens, &result, &error));

  const float *values = result.data;
  for (int i = 0; i < count; ++i) {
    for (int64_t d = 0; d < result.shape[1]; ++d) printf("%s%.6g", d ? " " : "", values[i * result.shape[1] + d]);
    printf("\n");
    free((void *)images[i].data);
  }
  free(images);
  udi_tensor_free(tokens);
  udi_tensor_free(batch);
  udi_model_free(model);
  udi_context_free(context);
  return 0;
}
