// Where the ranks of a run leave words for each other before they are connected, and when a connection broke: a store of
// short texts (c10d's TCPStore), kept by rank 0, or by torchrun.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dist/launcher.h"

namespace c10d {
class Store;
}

namespace udi {

class Board {
 public:
  // Rank 0 opens it, unless the launcher has; the others come when it is there. port: where it is, which settles a port
  // of 0. wait: called in between, may throw to stop. UDI_E_IO: not within `timeout` seconds; or the port is taken.
  Board(const Place& place, double timeout, const std::function<void()>& wait);
  ~Board();
  Board(Board&&) noexcept;

  int port() const { return port_; }
  Board another() const;  // a connection of its own, for another thread

  // All throw UDI_E_IO when the keeper is gone.
  int64_t add(const std::string& key, int64_t by);                // returns the sum
  void set(const std::string& key, const std::string& value);
  std::string set_once(const std::string& key, const std::string& value);  // the value that was first
  std::optional<std::string> look(const std::string& key);        // nothing: not set

  struct Connection;
  const Connection& connection() const { return *connection_; }

 private:
  Board(std::unique_ptr<Connection> connection, int port);

  std::unique_ptr<Connection> connection_;
  int port_ = 0;
};

}  // namespace udi
