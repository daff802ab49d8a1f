"""Where the tokens of one crop lie in another: stratified samples and dense sample maps, image by image in small torch
operations, which is what the official data pipeline does in its worker processes.

A crop is its coordinates (i0, j0, i1, j1) in the image, 0..1, float32; j0 > j1 when the crop is mirrored.
"""

import random

import torch


def stratified_mask(grid, window):
    """One token drawn from each window x window cell: bool [grid * grid].

    Where the cells do not fill the grid, their block is pushed into one of its four corners.
    """
    cells = grid // window
    side = cells * window
    draw = torch.randint(window * window, (cells * cells,))
    one_hot = torch.nn.functional.one_hot(draw, window * window)
    block = one_hot.view(cells, cells, window, window).permute(0, 2, 1, 3).reshape(side, side).bool()
    if side == grid:
        return block.flatten()
    corner = int(random.random() * 4)
    top, left = (corner // 2) * (grid - side), (corner % 2) * (grid - side)
    mask = torch.zeros(grid, grid, dtype=torch.bool)
    mask[top : top + side, left : left + side] = block
    return mask.flatten()


def sample_masks(grid, local_grid, windows=(3, 2)):
    """Of an image: for its global crops and for its local crops."""
    return stratified_mask(grid, windows[0]), stratified_mask(local_grid, windows[1])


def token_places(crop, grid):
    """Coordinates in the image of a crop's tokens: [grid * grid, 2]; first and last token sit on the crop's edges."""
    line = torch.linspace(0, 1, grid)
    rows, columns = torch.meshgrid(line, line, indexing="ij")
    unit = torch.stack([rows, columns], dim=-1).view(-1, 2)
    return crop[:2] + unit * (crop[2:] - crop[:2])


def unflipped(crop):
    return torch.stack([crop[0], torch.minimum(crop[1], crop[3]), crop[2], torch.maximum(crop[1], crop[3])])


def sample_maps(source, target, mask, source_grid, target_grid):
    """The samples of `mask` in crop `source` that fall strictly inside crop `target`, as two dense matrices:
    [s, source tokens], one 1 a row, and [s, target tokens], the four bilinear weights a row. Samples that fall outside
    leave zero rows at the end."""
    chosen = mask.nonzero().squeeze(1)
    places = token_places(source, source_grid)[chosen]
    box = unflipped(target)
    inside = ((places > box[:2]) & (places < box[2:])).all(dim=1)
    chosen, places = chosen[inside], places[inside]

    samples, count = int(mask.sum()), len(chosen)
    source_map = torch.zeros(samples, source_grid**2)
    target_map = torch.zeros(samples, target_grid**2)
    if count == 0:
        return source_map, target_map
    rows = torch.arange(count)
    source_map[rows, chosen] = 1

    last = target_grid - 1
    place = (places - target[:2]) * last / (target[2:] - target[:2])
    low = place.floor()
    high = (low + 1).clamp(max=last)
    below, above = high - place, place - low
    for i, weight_i in ((low, below), (high, above)):
        for j, weight_j in ((low, below), (high, above)):
            token = (i[:, 0] * target_grid + j[:, 1]).long().clamp(min=0)
            target_map[rows, token] += weight_i[:, 0] * weight_j[:, 1]
    return source_map, target_map


def image_maps(crops, global_mask, local_mask, grid, local_grid):
    """All maps of one image. crops: two globals, then the locals. Both lists begin with (crop 0 -> crop 1) and
    (crop 1 -> crop 0); the sources of the locals follow grouped by the target crop, their targets interleaved."""
    forward = sample_maps(crops[0], crops[1], global_mask, grid, grid)
    backward = sample_maps(crops[1], crops[0], global_mask, grid, grid)
    onto = [[sample_maps(local, crops[c], local_mask, local_grid, grid) for c in (1, 0)] for local in crops[2:]]
    sources = [forward[0], backward[0]] + [pair[c][0] for c in (0, 1) for pair in onto]
    targets = [forward[1], backward[1]] + [pair[c][1] for pair in onto for c in (0, 1)]
    return sources, targets
