// Sockets as the store needs them: opened here, so that what fails is said in words and waits can be stopped.
#pragma once

#include <csignal>
#include <functional>
#include <string>

namespace udi {

// A listening socket on `port` (0: a free one, see port_of_socket): of every address of this machine, or of the loopback
// alone where `address` is that. The caller closes it. UDI_E_IO: taken, and what to do.
int listen_on(const std::string& address, int port);
int port_of_socket(int socket);

// Waits until something listens there. wait: called several times a second, may throw. UDI_E_IO: nothing within
// `timeout` seconds, or no such host.
void wait_for_listener(const std::string& address, int port, double timeout, const std::function<void()>& wait);

// The address by which this machine reaches `address`, as digits: what others connect to. UDI_E_IO: no such host.
std::string own_address(const std::string& address, int port);

// Writing to a connection that its other side has closed is an error here, and no signal, which would end the process:
// threads that begin in the meantime inherit that.
class WithoutSigpipe {
 public:
  WithoutSigpipe();
  ~WithoutSigpipe();
  WithoutSigpipe(const WithoutSigpipe&) = delete;
  WithoutSigpipe& operator=(const WithoutSigpipe&) = delete;

 private:
  sigset_t found_;
  bool was_pending_;
};

}  // namespace udi
