"""The official step made as fast as PyTorch makes it: the teacher encodes its images once, fused attention, one head call a
network, no work whose result nobody reads, fused AdamW, clipping and the teacher's average over all tensors at once without a
look at a norm, bfloat16 autocast, torch.compile over forward and backward.

The objective is still the literal one on K-wide rows (loss.py): what PyTorch's compiler fuses of it, it fuses. Sample maps stay
dense: with the projection done once for queries and skip connection they are 0.3 % of the step's operations, and products are
what the compiler and the GPU are good at.
"""

import torch
from torch.nn import functional as F

from loss import Objective
from model import Network, join_heads, split_heads


def sample(module, x, maps):
    """model.SampledAttention on x [B, N, C] with maps [B, s, N] -> [B, s, C]; its queries and its skip connection are taken by
    one product. A sample that is not valid has an empty row: its query is 0, which weighs all tokens alike, as the official
    filling of the scores does."""
    q, k, v = module.qkv(x).chunk(3, dim=-1)
    sampled, skip = (maps.to(q.dtype) @ torch.cat([q, x.to(q.dtype)], dim=-1)).chunk(2, dim=-1)
    heads = (split_heads(part, module.heads) for part in (sampled, k, v))
    return module.norm(module.proj(join_heads(F.scaled_dot_product_attention(*heads))) + skip)


class StrongPretraining:
    """As step.Pretraining. compile_mode: None or one of torch.compile's; bf16: autocast, without a loss scaler."""

    def __init__(self, sizes, alpha=0.5, clip=3.0, device="cpu", bf16=False, compile_mode=None):
        self.sizes, self.limit, self.bf16, self.device = sizes, clip, bf16, torch.device(device)
        self.student = Network(sizes, sizes.drop_path).to(device)
        self.teacher = Network(sizes).to(device)
        self.teacher.load_state_dict(self.student.state_dict())
        self.teacher.requires_grad_(False)
        for network in (self.student, self.teacher):
            for block in network.backbone.backbone.blocks:
                block.attn.fused = True
        self.objective = Objective(sizes, alpha).to(device)
        named = [(name, p) for name, p in self.student.named_parameters() if p.requires_grad]
        plain = [p for name, p in named if name.endswith(".bias") or p.dim() == 1]
        decayed = [p for name, p in named if not (name.endswith(".bias") or p.dim() == 1)]
        groups = [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, fused=True)
        compiled = lambda f: torch.compile(f, mode=compile_mode, dynamic=False) if compile_mode else f
        self.loss, self.clip = compiled(self._loss), compiled(self._clip)
        self.not_finite = torch.zeros((), dtype=torch.bool, device=device)  # read by whoever wants to know

    def allocate_optimizer(self):
        """Adam's averages, before the first step makes them: a memory measurement starts after them."""
        for group in self.optimizer.param_groups:
            for p in group["params"]:
                averages = {name: torch.zeros_like(p) for name in ("exp_avg", "exp_avg_sq")}
                self.optimizer.state[p] = {"step": torch.zeros((), device=p.device), **averages}

    # ---- Forward ---------------------------------------------------------------------------------------------------

    def _student(self, batch):
        count = self.sizes.class_tokens
        out, rows = {}, {}
        tokens = self.student.backbone.backbone(torch.cat(batch.crops[:2]))
        norm = self.student.backbone.backbone.norm
        rows.update(self._class_rows("global_", norm(tokens[:, :count])))
        if self.sizes.include_patch:
            maps = torch.cat(batch.sources[:2])
            rows["global_patch"] = self._sampled(self.student.backbone, tokens, maps).unsqueeze(0)
            out["mask"] = maps.sum(dim=-1, keepdim=True).unsqueeze(0)
        tokens = self.student.backbone.backbone(torch.cat(batch.crops[2:]))
        rows.update(self._class_rows("local_", norm(tokens[:, :count])))
        return out | self._project(self.student, rows)

    def _teacher(self, batch):
        tokens = self.teacher.backbone.backbone(torch.cat([batch.crops[1], batch.crops[0]]))
        rows = {"cls": self.teacher.backbone.backbone.norm(tokens[:, :1])}
        if not self.sizes.include_patch:
            return self._project(self.teacher, rows)
        wide = torch.cat(batch.targets[:2])
        small = torch.cat(batch.targets[2:]).unflatten(0, (batch.locals, -1))  # [locals, 2 B, s, N]
        each = small.shape[2]
        maps = torch.cat([wide, small.transpose(0, 1).flatten(1, 2)], dim=1)  # keys and values serve all samples of a crop
        patches = self._sampled(self.teacher.backbone, tokens, maps)
        rows["global_patch"] = patches[:, : wide.shape[1]].unsqueeze(0)
        rows["local_patch"] = patches[:, wide.shape[1] :].unflatten(1, (batch.locals, each)).transpose(0, 1)
        masks = {"global_mask": wide.unsqueeze(0), "local_mask": small}
        return {name: m.sum(dim=-1, keepdim=True) for name, m in masks.items()} | self._project(self.teacher, rows)

    def _sampled(self, backbone, tokens, maps):
        return sample(backbone.attn, backbone.norm1(tokens[:, self.sizes.class_tokens :]), maps)

    def _class_rows(self, prefix, classes):
        names = ("cls", "cls_plus")[: self.sizes.class_tokens]
        return {prefix + name: classes[:, i : i + 1] for i, name in enumerate(names)}

    def _project(self, network, rows):
        """All rows through the head in one call: the prototypes' norm is taken once. -> logits of the rows' shapes"""
        logits = network.project(torch.cat([r.flatten(0, -2) for r in rows.values()]))
        parts = logits.split([r.numel() // r.shape[-1] for r in rows.values()])
        return {name: part.view(*r.shape[:-1], -1) for (name, r), part in zip(rows.items(), parts)}

    def _loss(self, batch, temperature):
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            with torch.no_grad():
                teacher = self._teacher(batch)
            return self.objective(self._student(batch), teacher, len(batch.crops[0]), batch.locals, temperature)

    # ---- The step --------------------------------------------------------------------------------------------------

    def step(self, batch, lr, weight_decay, momentum, temperature, freeze_last_layer, gradients=None):
        """-> loss, parts (tensors on the device). gradients: a dict that is given copies of all gradients before clipping."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.param_groups[0]["weight_decay"] = weight_decay
        self.optimizer.zero_grad()
        if self.device.type == "cuda":
            torch.compiler.cudagraph_mark_step_begin()
        degrees = torch.full((), temperature, device=self.device)  # a number would be compiled in, each anew
        loss, parts, center = self.loss(batch, degrees)
        loss.backward()
        self.objective.center.copy_(center)
        self.not_finite |= ~torch.isfinite(loss.detach())
        if gradients is not None:
            gradients.update({n: p.grad.clone() for n, p in self.student.named_parameters() if p.grad is not None})
        self.clip([p.grad for p in self.student.parameters() if p.grad is not None])
        if freeze_last_layer:
            for name, p in self.student.named_parameters():
                if "last_layer" in name:
                    p.grad = None
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(self.teacher.parameters()), list(self.student.parameters()), 1 - momentum)
        return loss.detach(), {name: part.detach() for name, part in parts.items()}

    def _clip(self, gradients):
        """Each tensor's own gradient to a norm of at most the limit."""
        norms = torch.stack(torch._foreach_norm(gradients))
        ratios = (self.limit / (norms + 1e-6)).clamp(max=1)
        torch._foreach_mul_(gradients, list(ratios.unbind()))
