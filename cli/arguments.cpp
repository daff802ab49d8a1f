#include "arguments.h"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>

#include "help.h"

namespace cli {
namespace {

Json parse_value(const Option& option, const std::string& type, const std::string& word) {
  char* end = nullptr;
  errno = 0;
  if (type == "int") {
    const long long value = std::strtoll(word.c_str(), &end, 10);
    if (word.empty() || *end || errno) throw UsageError(option.flag() + ": '" + word + "' is not an integer");
    return int64_t(value);
  }
  if (type == "float") {
    const double value = std::strtod(word.c_str(), &end);
    if (word.empty() || *end || !(value - value == 0)) {
      throw UsageError(option.flag() + ": '" + word + "' is not a finite number");
    }
    return value;
  }
  return word;
}

Json parse_list(const Option& option, const std::vector<std::string>& words) {
  Json list = Json::array();
  for (const auto& word : words) list.push_back(parse_value(option, option.item, word));
  return list;
}

Json read_config(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream content;
  content << file.rdbuf();
  if (!file) throw UsageError("--config: " + path + " cannot be read");
  try {
    const Json config = Json::parse(content.str());
    if (!config.is_object()) throw UsageError("--config: " + path + " is not a JSON object");
    return config;
  } catch (const Json::exception& error) {
    throw UsageError("--config: " + path + ": " + error.what());
  }
}

void read_device(const std::string& word, Arguments* arguments) {
  if (word == "cpu") return;
  const bool numbered = word.compare(0, 5, "cuda:") == 0 && word.size() > 5 && word.size() < 9 &&
                        word.find_first_not_of("0123456789", 5) == std::string::npos;
  if (word != "cuda" && !numbered) throw UsageError("--device: '" + word + "' is not cpu, cuda or cuda:N");
  arguments->device_type = UDI_CUDA;
  arguments->device_index = numbered ? std::stoi(word.substr(5)) : -1;  // -1: the launcher's local rank
}

// One command as CLI11 sees it, with the words that were given for each option.
struct Command {
  const Job* job = nullptr;
  CLI::App* app = nullptr;
  std::map<std::string, std::vector<std::string>> lists;
  std::map<std::string, std::string> words;
  std::map<std::string, bool> flags;
  std::map<std::string, CLI::Option*> options;
  std::string config_path, device = "cpu";
  bool json = false, quiet = false, verbose = false;
};

void add_option(const Option& option, Command* command) {
  CLI::Option*& added = command->options[option.name];
  if (option.type == "bool") {
    const std::string name = option.flag().substr(2);
    added = command->app->add_flag("--" + name + ",!--no-" + name, command->flags[option.name]);
    return;
  }
  const std::string name = option.positional ? option.name : option.flag();
  if (option.type == "list") {
    added = command->app->add_option(name, command->lists[option.name])->expected(1, 1024);
  } else {
    added = command->app->add_option(name, command->words[option.name]);
    added->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  }
  if (option.type == "enum") added->check(CLI::IsMember(option.choices));
}

std::unique_ptr<Command> add_command(const Job& job, CLI::App* app) {
  auto command = std::make_unique<Command>();
  command->job = &job;
  command->app = app->add_subcommand(job.name, job.summary);
  command->app->formatter_fn([&job](const CLI::App*, const std::string&, CLI::AppFormatMode) { return job_help(job); });
  for (const auto& option : job.options) add_option(option, command.get());
  command->app->add_option("--config", command->config_path);
  command->app->add_option("--device", command->device);
  command->app->add_flag("--json", command->json);
  command->app->add_flag("-q,--quiet", command->quiet);
  command->app->add_flag("-v,--verbose", command->verbose);
  return command;
}

Arguments collect(const Command& command) {
  Arguments arguments;
  arguments.command = command.job->name;
  arguments.json = command.json;
  arguments.quiet = command.quiet;
  arguments.verbose = command.verbose;
  read_device(command.device, &arguments);
  if (!command.config_path.empty()) arguments.config = read_config(command.config_path);
  for (const auto& option : command.job->options) {
    if (command.options.at(option.name)->count() == 0) {
      if (option.required && !arguments.config.contains(option.name)) {
        throw UsageError((option.positional ? option.name : option.flag()) + " must be given");
      }
      continue;
    }
    if (option.type == "bool") {
      arguments.config[option.name] = command.flags.at(option.name);
    } else if (option.type == "list") {
      arguments.config[option.name] = parse_list(option, command.lists.at(option.name));
    } else {
      arguments.config[option.name] = parse_value(option, option.type, command.words.at(option.name));
    }
  }
  return arguments;
}

// What was not understood, with the flag or command that it may have been meant to be.
std::string suggestion(const std::vector<Job>& jobs, const std::vector<std::unique_ptr<Command>>& commands,
                       const std::string& word) {
  std::vector<std::string> known;
  for (const auto& command : commands) {
    if (!command->app->parsed()) continue;
    for (const auto& option : command->job->options) known.push_back(option.flag());
    for (const char* flag : {"--config", "--device", "--json", "--quiet", "--verbose", "--help"}) known.push_back(flag);
  }
  if (known.empty()) {
    for (const auto& job : jobs) known.push_back(job.name);
  }
  const std::string near = nearest(word, known);
  return "'" + word + "' is not known" + (near.empty() ? "" : "; did you mean '" + near + "'?");
}

}  // namespace

Arguments parse_arguments(const std::vector<Job>& jobs, int argc, char** argv) {
  CLI::App app;
  app.formatter_fn([&](const CLI::App*, const std::string&, CLI::AppFormatMode) { return overview(jobs); });
  app.set_version_flag("--version", std::string("udi ") + udi_version_string());
  app.require_subcommand(0, 1);  // a later word is a value, even if commands are called so: bench extract
  std::vector<std::unique_ptr<Command>> commands;
  for (const auto& job : jobs) commands.push_back(add_command(job, &app));
  if (argc < 2) throw UsageError("a command must be given");

  Arguments arguments;
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    arguments.text = overview(jobs);
    for (const auto& command : commands) {
      if (command->app->parsed()) arguments.text = job_help(*command->job);
    }
    return arguments;
  } catch (const CLI::CallForVersion& version) {
    arguments.text = std::string(version.what()) + '\n';
    return arguments;
  } catch (const CLI::ExtrasError&) {
    std::vector<std::string> extra = app.remaining(true);
    throw UsageError(extra.empty() ? "too many arguments" : suggestion(jobs, commands, extra[0]));
  } catch (const CLI::ParseError& error) {
    throw UsageError(error.what());
  }
  for (const auto& command : commands) {
    if (command->app->parsed()) return collect(*command);
  }
  throw UsageError("a command must be given");
}

}  // namespace cli
