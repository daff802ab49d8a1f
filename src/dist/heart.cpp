#include "dist/heart.h"

#include <chrono>
#include <vector>

#include "base/error.h"

namespace udi {
namespace {

constexpr const char* kLost = "lost";  // the first reason for which a rank left
constexpr double kBeatsToWatch = 3;
constexpr int kBeatsOfSilence = 10;

std::string beat_key(int64_t rank) { return text("beat/", rank); }

// "rank 1", "ranks 1, 2 and 5 more"
std::string names_of(const std::vector<int64_t>& ranks) {
  std::string names = ranks.size() == 1 ? "rank " : "ranks ";
  for (size_t i = 0; i < ranks.size() && i < 8; ++i) names += (i ? ", " : "") + std::to_string(ranks[i]);
  if (ranks.size() > 8) names += text(" and ", ranks.size() - 8, " more");
  return names;
}

}  // namespace

Heart::Heart(Board board, int64_t rank, int64_t world, double beat, bool keeps_store)
    : board_(std::move(board)),
      rank_(rank),
      world_(world),
      beat_(beat),
      keeps_store_(keeps_store),
      thread_([this] { live(); }) {}

Heart::~Heart() {
  {
    const std::lock_guard lock(mutex_);
    end_ = true;
  }
  ending_.notify_all();
  thread_.join();
}

void Heart::live() {
  try {
    int64_t beats = 0;
    std::string heard;
    do {
      board_.set(beat_key(rank_), text(++beats, " ", exchange_.load(std::memory_order_relaxed)));
      const auto word = board_.look(kLost);
      const std::string now = sign_of(board_, (rank_ + 1) % world_).beats;
      const std::lock_guard lock(mutex_);
      if (word) word_ = *word;
      silent_beats_ = now == heard ? silent_beats_ + 1 : 0;
      heard = now;
    } while (rest(1));
  } catch (const std::exception&) {  // whoever meets the store next says so
    const std::lock_guard lock(mutex_);
    store_is_gone_ = true;
  }
}

bool Heart::suspects() {
  const std::lock_guard lock(mutex_);
  return !word_.empty() || store_is_gone_ || silent_beats_ >= kBeatsOfSilence;
}

bool Heart::rest(double beats) {
  std::unique_lock lock(mutex_);
  return !ending_.wait_for(lock, std::chrono::duration<double>(beats * beat_), [&] { return end_; });
}

std::string Heart::known_word() {
  const std::lock_guard lock(mutex_);
  return word_;
}

Heart::Sign Heart::sign_of(Board& board, int64_t rank) {
  const std::string value = board.look(beat_key(rank)).value_or("");
  const size_t space = value.find(' ');
  if (space == std::string::npos) return {};
  return {value.substr(0, space), std::strtoll(value.c_str() + space, nullptr, 10)};
}

void Heart::announce(Board& board, const std::string& why) {
  try {
    board.set_once(kLost, why);
    if (keeps_store_) rest(2);  // the others read it before the store goes
  } catch (const std::exception&) {
  }
}

std::string Heart::diagnose(Board& board, const std::string& reason) {
  std::string word = known_word();
  if (!word.empty()) return word;
  try {
    word = board.look(kLost).value_or("");
    if (word.empty()) word = board.set_once(kLost, find_missing(board, reason));
    if (keeps_store_) rest(2);
    return word;
  } catch (const std::exception&) {
    word = known_word();
    return word.empty() ? "rank 0, or the launcher that kept the ranks' store, is gone: " + reason : word;
  }
}

// Those whose beats stand still; where all live, those that are behind.
std::string Heart::find_missing(Board& board, const std::string& reason) {
  std::vector<Sign> before;
  for (int64_t rank = 0; rank < world_; ++rank) before.push_back(sign_of(board, rank));
  rest(kBeatsToWatch);
  if (const std::string word = board.look(kLost).value_or(""); !word.empty()) return word;
  std::vector<int64_t> silent, behind;
  for (int64_t rank = 0; rank < world_; ++rank) {
    if (rank == rank_) continue;
    const Sign now = sign_of(board, rank);
    if (now.beats == before[size_t(rank)].beats) silent.push_back(rank);
    if (now.exchange < exchange_.load()) behind.push_back(rank);
  }
  if (!silent.empty()) {
    return text(names_of(silent), " of ", world_, silent.size() == 1 ? " is" : " are", " gone (ended, killed or stopped): ",
                reason);
  }
  if (!behind.empty()) {
    return text(names_of(behind), " of ", world_, behind.size() == 1 ? " lives and has" : " live and have",
                " not come to where rank ", rank_, " waited: ", reason);
  }
  return text("a connection between the ", world_, " ranks broke: ", reason);
}

}  // namespace udi
