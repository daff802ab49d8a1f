#include "dist/sockets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"

namespace udi {
namespace {

using Clock = std::chrono::steady_clock;
using Addresses = std::unique_ptr<addrinfo, void (*)(addrinfo*)>;

struct Socket {
  explicit Socket(int fd) : fd(fd) {}
  ~Socket() {
    if (fd >= 0) ::close(fd);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int release() { return std::exchange(fd, -1); }
  int fd;
};

Addresses resolve(const std::string& host, int port, int type) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = type;
  hints.ai_flags = AI_NUMERICSERV;
  const int code = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  check(code == 0, UDI_E_IO, "address of rank 0: '", host.substr(0, 200), "' is not known: ", ::gai_strerror(code));
  return Addresses(found, ::freeaddrinfo);
}

bool is_loopback(const sockaddr* address) {
  if (address->sa_family == AF_INET)
    return ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr) >> 24 == 127;
  if (address->sa_family != AF_INET6) return false;
  return IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr);
}

// One attempt to connect, of 300 ms at most.
bool answers(const addrinfo& where) {
  const Socket socket(::socket(where.ai_family, where.ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, where.ai_protocol));
  if (socket.fd < 0) return false;
  if (::connect(socket.fd, where.ai_addr, where.ai_addrlen) == 0) return true;
  if (errno != EINPROGRESS) return false;
  pollfd ready{socket.fd, POLLOUT, 0};
  int error = 0;
  socklen_t size = sizeof error;
  return ::poll(&ready, 1, 300) == 1 && ::getsockopt(socket.fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

sigset_t sigpipe() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  return set;
}

bool sigpipe_is_pending() {
  sigset_t pending;
  sigpending(&pending);
  return sigismember(&pending, SIGPIPE) == 1;
}

}  // namespace

WithoutSigpipe::WithoutSigpipe() : was_pending_(sigpipe_is_pending()) {
  const sigset_t pipe = sigpipe();
  pthread_sigmask(SIG_BLOCK, &pipe, &found_);
}

WithoutSigpipe::~WithoutSigpipe() {
  const sigset_t pipe = sigpipe();
  const timespec now{};
  if (!was_pending_ && sigpipe_is_pending()) sigtimedwait(&pipe, nullptr, &now);  // of our own making
  pthread_sigmask(SIG_SETMASK, &found_, nullptr);
}

int listen_on(const std::string& address, int port) {
  // "localhost" and 127.0.0.1 are for this machine alone. A name that merely resolves to the loopback is not: Debian's
  // /etc/hosts has such a line for the machine's own name.
  const bool alone = address == "localhost" || address == "::1" || address.compare(0, 4, "127.") == 0;
  const std::vector<std::string> hosts = alone ? std::vector{address} : std::vector<std::string>{"::", "0.0.0.0"};
  for (const std::string& host : hosts) {
    const Addresses all = resolve(host, port, SOCK_STREAM);
    for (const addrinfo* at = all.get(); at; at = at->ai_next) {
      Socket socket(::socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol));
      if (socket.fd < 0) continue;
      const int on = 1, off = 0;
      ::setsockopt(socket.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
      if (at->ai_family == AF_INET6) ::setsockopt(socket.fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
      if (::bind(socket.fd, at->ai_addr, at->ai_addrlen) == 0 && ::listen(socket.fd, 4096) == 0) return socket.release();
    }
  }
  fail_errno("port ", port, " for the ranks to meet at cannot be opened; give another (MASTER_PORT)");
}

int port_of_socket(int socket) {
  sockaddr_storage own{};
  socklen_t size = sizeof own;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&own), &size) != 0) fail_errno("a socket's port");
  return ntohs(own.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(own).sin6_port
                                         : reinterpret_cast<const sockaddr_in&>(own).sin_port);
}

void wait_for_listener(const std::string& address, int port, double timeout, const std::function<void()>& wait) {
  const auto end = Clock::now() + std::chrono::duration<double>(timeout);
  for (;;) {
    const Addresses all = resolve(address, port, SOCK_STREAM);
    for (const addrinfo* at = all.get(); at; at = at->ai_next) {
      if (answers(*at)) return;
    }
    wait();
    check(Clock::now() < end, UDI_E_IO, "nobody answers at ", address, " port ", port, " within ", timeout,
          " s: rank 0 is not started, or its address is another");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

std::string own_address(const std::string& address, int port) {
  const Addresses all = resolve(address, port > 0 ? port : 9, SOCK_DGRAM);
  for (const addrinfo* at = all.get(); at; at = at->ai_next) {
    if (is_loopback(at->ai_addr) && at->ai_family == AF_INET) return "127.0.0.1";
    const Socket socket(::socket(at->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_storage own{};
    socklen_t size = sizeof own;
    char digits[NI_MAXHOST];
    // Connecting a datagram socket sends nothing: it asks the routing table.
    if (socket.fd >= 0 && ::connect(socket.fd, at->ai_addr, at->ai_addrlen) == 0 &&
        ::getsockname(socket.fd, reinterpret_cast<sockaddr*>(&own), &size) == 0 &&
        ::getnameinfo(reinterpret_cast<sockaddr*>(&own), size, digits, sizeof digits, nullptr, 0, NI_NUMERICHOST) == 0)
      return digits;
  }
  fail(UDI_E_IO, "there is no way from this machine to ", address);
}

}  // namespace udi
