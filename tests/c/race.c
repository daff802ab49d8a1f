/* A data race, so that ThreadSanitizer can be seen to be awake. */
#include <pthread.h>
#include <stddef.h>

static int counter;

static void* count(void* unused) {
  for (int i = 0; i < 1000; ++i) ++counter;
  return unused;
}

int main(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, count, NULL) != 0) return 2;
  count(NULL);
  pthread_join(thread, NULL);
  return counter == 0;
}
