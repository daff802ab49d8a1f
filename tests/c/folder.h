/* Image sets on disk: .npy files, since those can be written without a library. */
#ifndef FOLDER_H
#define FOLDER_H

#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

enum { FOLDER_IMAGES = 6, FOLDER_SIDE = 40 };

static char image_folder[] = "/tmp/udi-images-XXXXXX";

static inline void image_path(int n, char path[64]) { snprintf(path, 64, "%s/%02d.npy", image_folder, n); }

static inline int make_image_folder(void** state) {
  static uint8_t pixels[FOLDER_SIDE * FOLDER_SIDE * 3];
  (void)state;
  if (!mkdtemp(image_folder)) return -1;
  for (int n = 0; n < FOLDER_IMAGES; ++n) {
    char path[64], header[119];
    image_path(n, path);
    FILE* file = fopen(path, "wb");
    if (!file) return -1;
    draw(n, FOLDER_SIDE, pixels);
    snprintf(header, sizeof header, "%-117s\n", "{'descr': '|u1', 'fortran_order': False, 'shape': (40, 40, 3), }");
    fwrite("\x93NUMPY\x01\x00\x76\x00", 1, 10, file);
    fwrite(header, 1, 118, file);
    fwrite(pixels, 1, sizeof pixels, file);
    if (fclose(file) != 0) return -1;
  }
  return 0;
}

static inline int remove_image_folder(void** state) {
  (void)state;
  for (int n = 0; n < FOLDER_IMAGES; ++n) {
    char path[64];
    image_path(n, path);
    unlink(path);
  }
  return rmdir(image_folder);
}

static inline udi_loader* open_image_folder(udi_context* context, int32_t workers) {
  const udi_view_config views = small_view_config();
  udi_loader_config config;
  udi_loader* loader = NULL;
  udi_loader_config_init(&config, sizeof config);
  config.batch_size = 2;
  config.workers = workers;
  assert_works(udi_loader_open(context, image_folder, &views, &config, &loader, &error));
  return loader;
}

#endif
