// SIGINT and SIGTERM ask the running job to stop where it can be resumed; a second one leaves at once.
#pragma once

#include "udi.h"

namespace cli {

void install_signal_handlers();

// What signals cancel from now on; NULL: they end the process.
void set_signal_context(udi_context* context);

// The signal that came, or 0.
int received_signal();

}  // namespace cli
