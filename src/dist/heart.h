// Says on the board that this rank lives, every second, and learns there when one does not: each watches the next one. A
// thread that ends with the object.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "dist/board.h"

namespace udi {

class Heart {
 public:
  // board: a connection of its own. beat: seconds.
  Heart(Board board, int64_t rank, int64_t world, double beat, bool keeps_store);
  ~Heart();

  // This rank is at its n-th exchange with the others.
  void note_exchange() { exchange_.fetch_add(1, std::memory_order_relaxed); }

  // Who waits for something that does not break by itself asks now and then: another rank has left a word, the store is
  // gone, or the next rank has said nothing for ten beats. Asks nobody.
  bool suspects();

  // After an exchange failed: which rank it was, in words, the same on every rank that is left. Takes a few beats.
  // reason: what LibTorch said.
  std::string diagnose(Board& board, const std::string& reason);

  // Tells the others why this rank leaves, if it is the first with a reason.
  void announce(Board& board, const std::string& why);

 private:
  struct Sign {
    std::string beats;  // changes while the rank lives
    int64_t exchange = -1;
  };

  void live();
  Sign sign_of(Board& board, int64_t rank);
  std::string find_missing(Board& board, const std::string& reason);
  bool rest(double beats);  // false: the object ends
  std::string known_word();

  Board board_;
  const int64_t rank_, world_;
  const double beat_;
  const bool keeps_store_;
  std::atomic<int64_t> exchange_{0};
  std::mutex mutex_;  // guards what follows
  std::condition_variable ending_;
  bool end_ = false;
  std::string word_;  // what the board says was lost; empty: nothing
  bool store_is_gone_ = false;
  int silent_beats_ = 0;  // of the next rank
  std::thread thread_;
};

}  // namespace udi
