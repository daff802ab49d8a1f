// What the checks are made of. Each file of them is a part; checks.cpp calls all.
#pragma once

#include <string>
#include <udi.hpp>

inline void expect(bool holds, const std::string& what) {
  if (!holds) throw std::logic_error("not so: " + what);
}

// The call must throw this status and this text.
template <class Call>
void fails(Call&& call, udi_status status, const std::string& part) {
  try {
    call();
  } catch (const udi::Error& error) {
    expect(error.status() == status && std::string(error.what()).find(part) != std::string::npos,
           std::string(error.what()) + " is " + udi_status_name(status) + " and says: " + part);
    return;
  }
  throw std::logic_error("did not fail: " + part);
}

void check_callbacks(const std::string& folder, const std::string& pictures);
void check_memory(const std::string& pictures);
void check_training(const std::string& folder, const std::string& pictures);
