"""Decisions of token reducers (top k, argmax, thresholds), which also say how near each was to going the other way.

Selection is discontinuous: two correct programs part where two scores are nearly equal. A golden is thus made of inputs only
whose decisions are all clear, and `Choices.closest` tells which are."""
import torch


class Choices:
    """`closest`: the smallest relative gap between two values whose order decided anything, `where` says at which decision."""

    def __init__(self):
        self.closest, self.where = float("inf"), ""

    def compared(self, where, a, b):
        """Notes that the order of the elements of `a` and `b` (tensors or numbers) decided something."""
        a, b = torch.as_tensor(a, dtype=torch.float64), torch.as_tensor(b, dtype=torch.float64)
        gap = (a - b).abs() / torch.maximum(a.abs(), b.abs())
        gap = gap[torch.isfinite(a + b - a)] if gap.dim() else gap[None][torch.isfinite((a + b)[None])]
        if gap.numel() and float(gap.min()) < self.closest:
            self.closest, self.where = float(gap.min()), where

    def top(self, where, values, k, ordered=False):
        """Indices of the k largest, falling, ties to the lower index. With `ordered` their order means something too."""
        order = torch.sort(values, descending=True, stable=True).indices
        sorted_values = values[order]
        first = 0 if ordered else k - 1
        if k and first < min(k, len(values) - 1):
            last = min(k, len(values) - 1)
            self.compared(where, sorted_values[first:last], sorted_values[first + 1:last + 1])
        return order[:k]

    def best(self, where, rows):
        """The first maximum of each row of [n, m] -> indices [n]."""
        chosen = first_maximum(rows)
        if rows.shape[1] > 1 and len(rows):
            best, second = rows.topk(2, 1).values.unbind(1)
            self.compared(where, best, second)
        return chosen

    def above(self, where, values, threshold):
        """values > threshold, strictly."""
        self.compared(where, values, torch.as_tensor(threshold, dtype=values.dtype).expand(values.shape))
        return values > threshold


def first_maximum(rows):
    return (rows == rows.amax(-1, keepdim=True)).to(torch.uint8).argmax(-1)
