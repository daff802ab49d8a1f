#include "train/ranks.h"

#include "base/error.h"
#include "model/config.h"
#include "train/trainer.h"

namespace udi {
namespace {

enum { kCount, kImages, kLocalCrops, kGlobalValid, kSamples, kValid, kSteps };  // words of a rank

// A word in which no rank may differ.
void check_same(const std::vector<Group::Words>& ranks, int word, udi_status status, const char* what) {
  for (size_t rank = 1; rank < ranks.size(); ++rank) {
    check(ranks[rank][word] == ranks[0][word], status, what, ": ", ranks[0][word], " on rank 0, ", ranks[rank][word],
          " on rank ", rank);
  }
}

BatchTotals totals_of_all(const std::vector<Group::Words>& ranks) {
  BatchTotals all;
  for (const Group::Words& words : ranks) {
    all.images += words[kImages];
    all.global_valid += words[kGlobalValid];
    all.samples += words[kSamples];
    all.valid += words[kValid];
  }
  all.local_crops = ranks[0][kLocalCrops];
  return all;
}

// In the order of StepBatch::position.
std::vector<int64_t> positions(const std::vector<at::Tensor>& sizes, int64_t own_rank, int64_t count) {
  std::vector<int64_t> position;
  int64_t next = 0;
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t rank = 0; rank < int64_t(sizes.size()); ++rank) {
      if (rank == own_rank) position.push_back(next);
      next += sizes[size_t(rank)].const_data_ptr<int64_t>()[i];
    }
  }
  return position;
}

// The names and values of a configuration but for the rank's own place.
nlohmann::json common_config(const Trainer& trainer) {
  nlohmann::json json = config_to_json(trainer.model_config());
  json.update(config_to_json(trainer.config()));
  json.erase("rank");
  json.erase("world");
  return json;
}

void check_same_config(const std::vector<std::string>& texts) {
  const auto first = nlohmann::json::parse(texts[0]);
  for (size_t rank = 1; rank < texts.size(); ++rank) {
    const auto other = nlohmann::json::parse(texts[rank]);
    for (const auto& item : first.items()) {
      check(other.value(item.key(), nlohmann::json()) == item.value(), UDI_E_INVALID, item.key(), " is ",
            item.value().dump(), " on rank 0 and ", other.value(item.key(), nlohmann::json()).dump(), " on rank ", rank);
    }
  }
}

}  // namespace

StepBatch batch_of(Group* group, const std::vector<const Views*>& views, const udi_model_config& model,
                   const udi_train_config& train, int64_t steps, const Host& host) {
  StepBatch batch;
  const auto count_own = [&](Group::Words& words) {
    host.check_cancel();
    check_views(views, model);
    batch.loss = totals_of(views);
    batch.images = batch.loss.images;
    words = {int64_t(views.size()), batch.images,      batch.loss.local_crops, batch.loss.global_valid,
             batch.loss.samples,    batch.loss.valid, steps};
  };
  std::vector<at::Tensor> sizes{at::empty({int64_t(views.size())}, at::kLong)};
  int64_t rank = 0;
  if (!group) {
    Group::Words words;
    count_own(words);
    batch.all = batch.loss;
  } else {
    const auto ranks = group->agree(count_own);
    check_same(ranks, kSteps, UDI_E_STATE, "steps done");
    check_same(ranks, kCount, UDI_E_SHAPE, "views of a step");
    check_same(ranks, kLocalCrops, UDI_E_SHAPE, "local crops of a step");
    batch.all = totals_of_all(ranks);
    if (train.rank_reduction == 0) batch.loss = batch.all;
    rank = group->rank();
  }
  for (size_t i = 0; i < views.size(); ++i) sizes[0][int64_t(i)] = views[i]->batch;
  if (group) sizes = group->gather(sizes[0]);
  batch.position = positions(sizes, rank, int64_t(views.size()));
  return batch;
}

void sum_over_ranks(Group& group, const udi_train_config& train, StrandSums& sums) {
  const bool means = train.rank_reduction == 1;
  const double share = means ? 1 / double(group.world()) : 1;
  const at::Tensor z = sums.centers.z.to(at::kDouble).cpu();
  const int64_t levels = z.size(0);
  at::Tensor weight = at::empty({levels}, at::kDouble);
  for (int64_t level = 0; level < levels; ++level) {
    const double own = sums.centers.weight[size_t(level)];
    weight[level] = means ? double(own > 0) : own;
    if (means && own > 0) z[level].div_(own);
  }
  at::Tensor parts = at::empty({kParts + 1}, at::kDouble);
  for (int part = 0; part < kParts; ++part) parts[part] = share * sums.parts[part];
  parts[kParts] = sums.entropy;

  const at::Tensor feature = sums.feature.cpu(), feature2 = sums.feature2.cpu();
  const at::Tensor all = at::cat({parts, weight, feature, feature2, z.flatten()});
  group.sum(all);
  const auto taken = all.split_with_sizes({kParts + 1, levels, feature.numel(), feature2.numel(), z.numel()});
  for (int part = 0; part < kParts; ++part) sums.parts[part] = taken[0][part].item<double>();
  sums.entropy = taken[0][kParts].item<double>();
  for (int64_t level = 0; level < levels; ++level)
    sums.centers.weight[size_t(level)] = taken[1][level].item<double>();
  sums.feature = taken[2].to(sums.feature.options());
  sums.feature2 = taken[3].to(sums.feature2.options());
  sums.centers.z = taken[4].view(z.sizes()).to(sums.centers.z.options());
}

void copy_first(Group& group, Trainer& trainer) {
  check_same_config(group.gather_text(common_config(trainer).dump()));
  for (const auto& [name, tensor] : trainer.tensors()) {
    const at::Tensor values = tensor.cpu().contiguous();
    group.broadcast(values);
    tensor.copy_(values);
  }
  trainer.restore(nlohmann::json::parse(group.broadcast_text(trainer.state().dump())), "rank 0");
}

}  // namespace udi
