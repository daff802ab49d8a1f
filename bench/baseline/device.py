"""What a GPU is measured with besides the step: extraction with tensors there, JPEG files to features, and the two ceilings.
All of it runs on a CPU, too, where it says nothing but that it works."""

from pathlib import Path

import torch

from model import Network

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Features(torch.nn.Module):
    """Crops to the final-norm cls token."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images):
        return self.network.norm(self.network(images))[:, 0]


def feature_model(args, sizes):
    """-> the model as measured, one in float32 to compare with, the type of both's input"""
    network = Network(sizes).backbone.backbone.eval().requires_grad_(False).to(args.device)
    exact = Features(network)
    dtype = torch.bfloat16 if args.bf16 else torch.float32
    fast = Network(sizes).backbone.backbone.eval().requires_grad_(False).to(args.device)
    fast.load_state_dict(network.state_dict())
    for block in fast.blocks:
        block.attn.fused = args.engine != "eager"
    model = Features(fast.to(dtype))
    return torch.compile(model, mode=args.compile, dynamic=False) if args.compile else model, exact, dtype


@torch.inference_mode()
def extract(args, sizes, timed, result):
    model, exact, dtype = feature_model(args, sizes)
    images = torch.randn(args.batch, 3, sizes.global_size, sizes.global_size, device=args.device)
    wanted, given = exact(images), images.to(dtype)
    cosine = torch.cosine_similarity(model(given).float(), wanted).min().item()

    def some():
        for _ in range(args.steps):
            model(given)

    wall, processor = timed(some, args.warmup, args.repeats, args.device)
    return result(args.batch * args.steps, wall, processor, cosine=cosine, batch=args.batch)


class Folder(torch.utils.data.Dataset):
    """JPEG files through the official evaluation transform."""

    def __init__(self, folder, side):
        from torchvision import transforms

        self.paths = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
        self.transform = transforms.Compose(
            [
                transforms.Resize(side * 256 // 224, transforms.InterpolationMode.BICUBIC),
                transforms.CenterCrop(side),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD),
            ]
        )

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        from PIL import Image

        with open(self.paths[index], "rb") as file:
            return self.transform(Image.open(file).convert("RGB"))


@torch.inference_mode()
def files(args, sizes, timed, result):
    """A pass over a folder: worker processes decode and resize, the model runs here, features come back. The last batch, if
    it is short, is filled up: another shape would be compiled anew."""
    model, _, dtype = feature_model(args, sizes)
    images = Folder(args.data, sizes.global_size)
    cuda = args.device != "cpu"
    loader = torch.utils.data.DataLoader(
        images, args.batch, num_workers=args.workers, persistent_workers=args.workers > 0, pin_memory=cuda, prefetch_factor=4
    )

    def one_pass():
        features = []
        for batch in loader:
            count = len(batch)
            if count < args.batch:
                batch = torch.cat([batch, batch.new_zeros(args.batch - count, *batch.shape[1:])])
            features.append(model(batch.to(args.device, dtype, non_blocking=True))[:count].to("cpu", torch.float32))
        return torch.cat(features)

    assert len(one_pass()) == len(images)
    wall, processor = timed(one_pass, 0, args.repeats, args.device)
    return result(len(images), wall, processor, batch=args.batch)


def ceilings(args, timed):
    """The rate of a large 16-bit product and of a large copy (bytes read and bytes written), random numbers in both."""
    cuda = args.device != "cpu"
    size, count = (8192, 1 << 29) if cuda else (512, 1 << 22)
    a, b = (torch.randn(size, size, device=args.device, dtype=torch.bfloat16) for _ in range(2))
    out = torch.empty_like(a)
    x = torch.randn(count, device=args.device, dtype=torch.bfloat16)
    y = torch.empty_like(x)
    times = 20 if cuda else 2

    def products():
        for _ in range(times):
            torch.mm(a, b, out=out)

    def copies():
        for _ in range(times):
            y.copy_(x)

    product, _ = timed(products, 1, args.repeats, args.device)
    copy, _ = timed(copies, 1, args.repeats, args.device)
    middle = lambda seconds: sorted(seconds)[len(seconds) // 2] / times
    return {
        "flops_per_second": 2 * size**3 / middle(product),
        "bytes_per_second": 2 * x.numel() * x.element_size() / middle(copy),
        "size": size,
        "copied_bytes": x.numel() * x.element_size(),
        "product_seconds": product,
        "copy_seconds": copy,
    }
