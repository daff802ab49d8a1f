"""The official objective on full logits: every row of every head call is K wide and lives in memory."""

import torch
from torch.nn import functional as F

STUDENT_TEMPERATURE = 0.1
CENTER_MOMENTUM = 0.9
PARTS = ("global_cls", "global_cls_plus", "global_patch", "local_cls", "local_cls_plus")


def masked_mean(logits, mask):
    """Mean over the samples that are valid: [..., s, K], [..., s, 1] -> [..., 1, K]; none valid gives 0."""
    return (logits * mask / (mask.sum(dim=-2, keepdim=True) + 1e-5)).sum(dim=-2, keepdim=True)


def by_local_crop(x, batch, locals_):
    """Rows of [locals, 2 B, ...] or [2 B, ...] (crop 1's images, then crop 0's) as targets [locals * B, 2, ...]."""
    if x.dim() == 3:  # [2 B, 1, K]: the same for every local crop
        return x.view(2, batch, -1).transpose(0, 1).repeat(locals_, 1, 1)
    return x.view(locals_, 2, batch, -1).transpose(1, 2).reshape(locals_ * batch, 2, -1)


def cross_entropy(target, student):
    return -(target * student).sum(dim=-1)


class Objective(torch.nn.Module):
    """center [levels, K], levels being cls, cls_plus, patch or those of them that the model has."""

    def __init__(self, sizes, alpha):
        super().__init__()
        self.levels = ["cls", "cls_plus"][: sizes.class_tokens] + ["patch"] * sizes.include_patch
        self.alpha = alpha
        self.register_buffer("center", torch.zeros(len(self.levels), sizes.out_dim))

    def forward(self, student, teacher, batch, locals_, temperature):
        """student, teacher: dicts of logits made by Pretraining.student_pass and teacher_pass.
        -> loss, its parts by name (those that the model has), the center of the next step"""
        wide, small = self._targets(teacher, batch, locals_)
        prob = {level: self._probabilities(wide[level], level, temperature) for level in self.levels}
        # The softmax of the local patch targets is part of the official step, though no loss reads it.
        prob_small = {level: self._probabilities(small[level], level, temperature) for level in small}

        parts = {}
        for level in self.levels:
            if level == "patch":
                mask = student["mask"]
                logits = student["global_patch"].masked_fill(mask == 0, 1e-9)
                each = cross_entropy(prob[level], F.log_softmax(logits / STUDENT_TEMPERATURE, dim=-1))
                mask = mask.squeeze(-1)
                parts["global_patch"] = (each * mask).sum() / mask.sum()
            else:
                for name, target in (("global_", prob), ("local_", prob_small)):
                    logits = student[name + level]
                    each = cross_entropy(target[level], F.log_softmax(logits / STUDENT_TEMPERATURE, dim=-1))
                    parts[name + level] = each.mean()
        with torch.no_grad():
            center = self._moved_center(teacher, wide, small)
        return self._total(parts, locals_), parts, center

    def _total(self, parts, locals_):
        """Each level is the mean over its crops of global (2) and local (2 * locals) terms; the loss is the levels' mean."""
        total = 0
        for level in self.levels:
            if level == "patch":
                total = total + parts["global_patch"]
            else:
                terms = 2 * parts["global_" + level] + 2 * locals_ * parts["local_" + level]
                total = total + terms / (2 + 2 * locals_)
        return total / len(self.levels)

    def _targets(self, teacher, batch, locals_):
        """Target logits by level, for the rows of the global and of the local crops."""
        wide = {"cls": teacher["cls"]}
        small = {"cls": by_local_crop(teacher["cls"], batch, locals_)}
        if "patch" not in self.levels:
            return wide, small
        wide["patch"] = teacher["global_patch"]
        rows = teacher["local_patch"].unflatten(1, (2, batch)).transpose(0, 1)
        small["patch"] = rows.reshape(2, locals_ * batch, *rows.shape[3:])
        if "cls_plus" in self.levels:
            global_mean = masked_mean(teacher["global_patch"], teacher["global_mask"]).squeeze(0)
            local_mean = masked_mean(teacher["local_patch"], teacher["local_mask"])
            wide["cls_plus"] = self.alpha * global_mean + (1 - self.alpha) * wide["cls"]
            small["cls_plus"] = (
                self.alpha * by_local_crop(local_mean, batch, locals_) + (1 - self.alpha) * small["cls"]
            )
        return wide, small

    def _probabilities(self, logits, level, temperature):
        return F.softmax((logits - self.center[self.levels.index(level)]) / temperature, dim=-1)

    def _moved_center(self, teacher, wide, small):
        """Given back, not moved in place: compiled, the way back may take the targets' softmax anew from the center as it is then
        (pytorch/pytorch#197039)."""
        means = []
        for level in self.levels:
            if level == "cls":
                mean = teacher["cls"].mean(dim=(0, 1))
            elif level == "cls_plus":
                both = torch.cat([wide[level].flatten(0, 1), small[level].flatten(0, 1)])
                mean = both.mean(dim=0)
            else:
                total, count = 0, 0
                for name in ("global", "local"):
                    mask = teacher[name + "_mask"]
                    total = total + (teacher[name + "_patch"] * mask).flatten(0, -2).sum(dim=0)
                    count = count + mask.sum()
                mean = total / count
            means.append(mean)
        return self.center * CENTER_MOMENTUM + torch.stack(means) * (1 - CENTER_MOMENTUM)
