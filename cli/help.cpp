#include "help.h"

#include <algorithm>
#include <sstream>

namespace cli {
namespace {

constexpr size_t kWidth = 100;  // of a line
constexpr size_t kColumn = 32;  // where help texts start

std::string upper(std::string word) {
  std::transform(word.begin(), word.end(), word.begin(), [](unsigned char c) { return std::toupper(c); });
  return word;
}

// "--batch-size INT", "--[no-]decode", "--k INT..."
std::string usage(const Option& option) {
  if (option.positional) return upper(option.name);
  if (option.type == "bool") return "--[no-]" + option.flag().substr(2);
  if (option.type == "list") return option.flag() + " " + upper(option.choices.empty() ? option.item : "word") + "...";
  return option.flag() + " " + upper(option.type == "enum" ? "word" : option.type);
}

std::string default_text(const Option& option) {
  if (option.fallback.is_null()) return option.required ? " (required)" : "";
  if (option.type == "bool") return option.fallback.get<bool>() ? " [on]" : " [off]";
  std::string shown;
  const Json list = option.fallback.is_array() ? option.fallback : Json::array({option.fallback});
  for (const auto& item : list)
    shown += (shown.empty() ? "" : " ") + (item.is_string() ? item.get<std::string>() : item.dump());
  return " [" + shown + "]";
}

// The words of a help text in lines of kWidth, behind what stands in the first column.
std::string entry(const std::string& first, const std::string& help) {
  std::ostringstream out;
  std::string line = "  " + first;
  if (line.size() + 2 > kColumn) {
    out << line << '\n';
    line.clear();
  }
  line.resize(kColumn, ' ');
  std::istringstream words(help);
  bool fresh = true;
  for (std::string word; words >> word;) {
    if (!fresh && line.size() + 1 + word.size() > kWidth) {
      out << line << '\n';
      line.assign(kColumn, ' ');
      fresh = true;
    }
    line += (fresh ? "" : " ") + word;
    fresh = false;
  }
  out << line << '\n';
  return out.str();
}

std::string entry(const Option& option) {
  std::string choices;
  for (const auto& choice : option.choices) choices += (choices.empty() ? "" : ", ") + choice;
  // An enum whose help does not say its words gets them listed.
  const bool explained = std::all_of(option.choices.begin(), option.choices.end(), [&](const std::string& choice) {
    return option.help.find(choice) != std::string::npos;
  });
  return entry(usage(option), option.help + (explained ? "" : ": " + choices) + default_text(option));
}

}  // namespace

const std::vector<GeneralOption>& general_options() {
  static const std::vector<GeneralOption> options = {
      {"--config FILE", "JSON object of these options (names with _); flags override it"},
      {"--device DEVICE", "cpu, cuda (under a launcher the GPU of the local rank) or cuda:N [cpu]"},
      {"--json", "the last line on stdout is one JSON object"},
      {"-q,--quiet", "errors alone"},
      {"-v,--verbose", "more detail"},
      {"-h,--help", "this text"},
  };
  return options;
}

std::string overview(const std::vector<Job>& jobs) {
  std::ostringstream out;
  out << "udi: pretrain vision transformers with UDI, and use them.\n\nUsage: udi COMMAND [OPTIONS]\n\nCommands:\n";
  for (const auto& job : jobs) out << entry(job.name, job.summary);
  out << "\nOptions:\n"
      << entry("-h,--help", "this text; udi COMMAND --help: a command's options")
      << entry("--version", "the library's version")
      << "\nExit status: 0 success, 1 failure, 2 wrong usage, 130 interrupted, 143 terminated.\n";
  return out.str();
}

std::string job_help(const Job& job) {
  std::ostringstream out;
  out << "udi " << job.name << ": " << job.summary << "\n\nUsage: udi " << job.name;
  std::vector<std::string> groups;
  for (const auto& option : job.options) {
    if (option.required) out << ' ' << usage(option);
    if (std::find(groups.begin(), groups.end(), option.group) == groups.end()) groups.push_back(option.group);
  }
  out << " [OPTIONS]\n";
  for (const auto& group : groups) {
    out << '\n' << group << ":\n";
    for (const auto& option : job.options) {
      if (option.group == group) out << entry(option);
    }
  }
  out << "\nGeneral:\n";
  for (const auto& option : general_options()) out << entry(option.flags, option.help);
  return out.str();
}

std::string nearest(const std::string& word, const std::vector<std::string>& candidates) {
  std::string best;
  size_t best_distance = std::max<size_t>(2, word.size() / 3) + 1;
  for (const auto& candidate : candidates) {
    std::vector<size_t> row(candidate.size() + 1);  // Levenshtein's distance
    for (size_t j = 0; j < row.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= word.size(); ++i) {
      size_t diagonal = row[0];
      row[0] = i;
      for (size_t j = 1; j < row.size(); ++j) {
        const size_t replaced = diagonal + (word[i - 1] != candidate[j - 1]);
        diagonal = row[j];
        row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
      }
    }
    if (row.back() < best_distance) {
      best = candidate;
      best_distance = row.back();
    }
  }
  return best;
}

}  // namespace cli
