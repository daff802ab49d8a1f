#include "dist/board.h"

#include <unistd.h>

#include <map>
#include <mutex>

#include "base/error.h"
#include "dist/c10d.h"
#include "dist/sockets.h"
#include "torch/csrc/distributed/c10d/PrefixStore.hpp"
#include "torch/csrc/distributed/c10d/TCPStore.hpp"

namespace udi {
namespace {

std::vector<uint8_t> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }
std::string text_of(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

// What LibTorch says of a store: its first line is enough.
template <class Body>
auto asking(Body&& body) {
  try {
    return body();
  } catch (const c10::Error& error) {
    const std::string what = error.what_without_backtrace();
    fail(UDI_E_IO, "the store that the ranks share does not answer: ", what.substr(0, what.find('\n')));
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    fail(UDI_E_IO, "the store that the ranks share does not answer: ", error.what());
  }
}

// The n-th group of this process at a place has the others' n-th group for its partner.
std::string next_session(const Place& place, int port) {
  static std::mutex mutex;
  static std::map<std::string, int> sessions;
  const std::lock_guard lock(mutex);
  return text("session_", ++sessions[text(place.address, " ", port, " ", place.rank)], "/");
}

}  // namespace

Board::Board(const Place& place, double timeout, const std::function<void()>& wait) : port_(place.port) {
  c10d::TCPStoreOptions options;
  options.timeout = std::chrono::milliseconds(int64_t(timeout * 1000));
  options.waitWorkers = false;
  options.isServer = place.rank == 0 && !place.store_is_kept;
  int listening = -1;
  if (options.isServer) {
    listening = listen_on(place.address, place.port);
    port_ = port_of_socket(listening);
    options.masterListenFd = listening;
  } else {
    wait_for_listener(place.address, place.port, timeout, wait);
  }
  options.port = uint16_t(port_);
  connection_ = std::make_unique<Connection>();
  asking([&] {
    // Rank 0's own machine may know itself by another address than the others know it by.
    auto store = c10::make_intrusive<c10d::TCPStore>(options.isServer ? own_address(place.address, port_) : place.address,
                                                     options);
    connection_->store = c10::make_intrusive<c10d::PrefixStore>(place.prefix + next_session(place, port_), store);
  });
}

Board::Board(std::unique_ptr<Connection> connection, int port) : connection_(std::move(connection)), port_(port) {}
Board::Board(Board&&) noexcept = default;
Board::~Board() = default;

Board Board::another() const {
  auto connection = std::make_unique<Connection>();
  asking([&] { connection->store = connection_->store->clone(); });
  return Board(std::move(connection), port_);
}

int64_t Board::add(const std::string& key, int64_t by) {
  return asking([&] { return connection_->store->add(key, by); });
}

void Board::set(const std::string& key, const std::string& value) {
  asking([&] { connection_->store->set(key, bytes_of(value)); });
}

std::string Board::set_once(const std::string& key, const std::string& value) {
  return asking([&] { return text_of(connection_->store->compareSet(key, {}, bytes_of(value))); });
}

std::optional<std::string> Board::look(const std::string& key) {
  return asking([&]() -> std::optional<std::string> {
    if (!connection_->store->check({key})) return std::nullopt;
    return text_of(connection_->store->get(key));
  });
}

}  // namespace udi
