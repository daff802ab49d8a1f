#include "train/losses.h"

#include <cmath>

#include "base/error.h"

namespace udi {

namespace {

// "17, 18, 19 and 5 more"
std::string names_of(const std::vector<int64_t>& images) {
  std::string names;
  for (size_t i = 0; i < images.size() && i < 8; ++i) names += (i ? ", " : "") + std::to_string(images[i]);
  if (images.size() > 8) names += text(" and ", images.size() - 8, " more");
  return names;
}

// body(row's place, its cross-entropy)
template <class Body>
void each_row(const at::Tensor& rows, const Body& body) {
  if (!rows.defined()) return;
  const at::Tensor values = rows.to(at::kDouble);
  const double* const at = values.const_data_ptr<double>();
  for (int64_t r = 0; r < values.numel(); ++r) body(size_t(r), at[r]);
}

}  // namespace

void LossSums::add(const ChunkLabels& labels, const ChunkLosses& losses) {
  const auto add_rows = [&](const RowLabels& rows, const at::Tensor& values) {
    each_row(values, [&](size_t r, double loss) { parts[rows.part[r]] += rows.weight[r] * loss; });
  };
  add_rows(labels.global, losses.global);
  each_row(losses.entropy, [&](size_t, double nats) { entropy += nats; });
  add_rows(labels.local, losses.local);
}

std::string what_is_not_finite(const std::vector<ChunkLabels>& labels, const std::vector<ChunkLosses>& losses) {
  std::array<bool, kParts> bad_part{};
  std::vector<int64_t> bad_images;
  for (size_t chunk = 0; chunk < losses.size(); ++chunk) {
    std::vector<bool> bad(labels[chunk].names.size());
    const auto see = [&](const RowLabels& rows, const at::Tensor& values) {
      each_row(values, [&](size_t r, double loss) {
        if (!std::isfinite(loss)) bad_part[rows.part[r]] = bad[size_t(rows.image[r])] = true;
      });
    };
    see(labels[chunk].global, losses[chunk].global);
    see(labels[chunk].local, losses[chunk].local);
    for (size_t i = 0; i < bad.size(); ++i) {
      if (bad[i]) bad_images.push_back(labels[chunk].names[i]);
    }
  }
  if (bad_images.empty()) return "";
  std::string parts;
  for (int part = 0; part < kParts; ++part) {
    if (bad_part[part]) parts += (parts.empty() ? "" : ", ") + std::string(part_name(part));
  }
  return text("the loss is not finite in ", parts, " for ", labels[0].samples ? "samples " : "images ",
              names_of(bad_images));
}

}  // namespace udi
