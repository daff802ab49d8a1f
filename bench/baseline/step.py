"""One optimisation step of UDI, literally as the official code runs it: the teacher encodes its images twice, the student
runs SRS on the local crops for nothing, gradients are clipped tensor by tensor with a look at each norm, the teacher
follows in a Python loop."""

import math
from dataclasses import dataclass

import torch

from loss import Objective
from model import Network


@dataclass
class Batch:
    """crops: [B, 3, G, G] twice, then [B, 3, l, l] a local crop, normalised. sources, targets: dense maps in the order of
    maps.image_maps, each [B, s, tokens]."""

    crops: list
    sources: list
    targets: list

    @property
    def locals(self):
        return len(self.crops) - 2


class Pretraining:
    def __init__(self, sizes, alpha=0.5, clip=3.0, device="cpu", half=None):
        """half: autocast to torch.float16 with a loss scaler, the official setting on CUDA, or to torch.bfloat16."""
        self.sizes, self.clip, self.half = sizes, clip, half
        self.student = Network(sizes, sizes.drop_path).to(device)
        self.teacher = Network(sizes).to(device)
        self.teacher.load_state_dict(self.student.state_dict())
        self.teacher.requires_grad_(False)
        self.objective = Objective(sizes, alpha).to(device)
        self.scaler = torch.amp.GradScaler(enabled=half == torch.float16)
        self.optimizer = torch.optim.AdamW(self._groups())

    def _groups(self):
        """Tensors of more than one dimension decay; biases and norms do not."""
        named = [(name, p) for name, p in self.student.named_parameters() if p.requires_grad]
        plain = [p for name, p in named if name.endswith(".bias") or p.dim() == 1]
        decayed = [p for name, p in named if not (name.endswith(".bias") or p.dim() == 1)]
        return [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]

    def allocate_optimizer(self):
        """Adam's averages, touched, before the first step makes them: a memory measurement starts after them."""
        for group in self.optimizer.param_groups:
            for p in group["params"]:
                averages = {name: torch.empty_like(p).fill_(0) for name in ("exp_avg", "exp_avg_sq")}
                self.optimizer.state[p] = {"step": torch.tensor(0.0), **averages}

    def student_pass(self, batch):
        wide = torch.cat(batch.crops[:2])
        wide_map = torch.cat(batch.sources[:2]).unsqueeze(0) if self.sizes.include_patch else None
        classes, patches = self.student.backbone(wide, wide_map)
        out = self._class_logits("global_", classes)
        if self.sizes.include_patch:
            out["global_patch"] = self.student.project(patches)
            out["mask"] = wide_map.sum(dim=-1, keepdim=True)
        small = torch.cat(batch.crops[2:])
        small_map = None
        if self.sizes.include_patch:
            small_map = torch.cat(batch.sources[2:]).unflatten(0, (2, -1))
        classes, _ = self.student.backbone(small, small_map)  # sampled patches of local crops: made, not used
        out.update(self._class_logits("local_", classes))
        return out

    def _class_logits(self, prefix, classes):
        names = ("cls", "cls_plus")[: self.sizes.class_tokens]
        return {prefix + name: self.student.project(classes[:, i : i + 1]) for i, name in enumerate(names)}

    def teacher_pass(self, batch):
        """Row b of the teacher pairs crop 1 with the student's crop 0, row B + b crop 0 with the student's crop 1."""
        wide = torch.cat([batch.crops[1], batch.crops[0]])
        if not self.sizes.include_patch:
            classes, _ = self.teacher.backbone(wide, None)
            return {"cls": self.teacher.project(classes[:, :1])}
        wide_map = torch.cat(batch.targets[:2]).unsqueeze(0)
        small_map = torch.cat(batch.targets[2:]).unflatten(0, (batch.locals, -1))
        classes, wide_patches = self.teacher.backbone(wide, wide_map)
        out = {"cls": self.teacher.project(classes[:, :1]), "global_patch": self.teacher.project(wide_patches)}
        _, small_patches = self.teacher.backbone(wide, small_map)  # the same images a second time
        out["local_patch"] = self.teacher.project(small_patches)
        out["global_mask"] = wide_map.sum(dim=-1, keepdim=True)
        out["local_mask"] = small_map.sum(dim=-1, keepdim=True)
        return out

    def loss(self, batch, temperature):
        device = batch.crops[0].device.type
        with torch.autocast(device, dtype=self.half, enabled=self.half is not None):
            teacher = self.teacher_pass(batch)
            student = self.student_pass(batch)
            return self.objective(student, teacher, len(batch.crops[0]), batch.locals, temperature)

    def step(self, batch, lr, weight_decay, momentum, temperature, freeze_last_layer, gradients=None):
        """-> loss, parts (floats). gradients: a dict that is given copies of all gradients before clipping."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.param_groups[0]["weight_decay"] = weight_decay

        loss, parts, center = self.loss(batch, temperature)
        if not math.isfinite(loss.item()):
            raise FloatingPointError(f"the loss is {loss.item()}")
        self.objective.center.copy_(center)
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        if gradients is not None:
            gradients.update({n: p.grad.clone() for n, p in self.student.named_parameters() if p.grad is not None})
        self._clip()
        if freeze_last_layer:
            for name, p in self.student.named_parameters():
                if "last_layer" in name:
                    p.grad = None
        self.scaler.step(self.optimizer)
        self.scaler.update()
        with torch.no_grad():
            for p, q in zip(self.teacher.parameters(), self.student.parameters()):
                p.mul_(momentum).add_((1 - momentum) * q)
        return loss.item(), {name: part.item() for name, part in parts.items()}

    def _clip(self):
        """Each tensor's own gradient to a norm of at most `clip`."""
        for p in self.student.parameters():
            if p.grad is not None:
                ratio = self.clip / (p.grad.norm(2).item() + 1e-6)
                if ratio < 1:
                    p.grad.mul_(ratio)
