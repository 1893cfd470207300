"""Hinge, cross-entropy and squared error on the sigmoid over the logit of a positive sample."""

import matplotlib.pyplot as plt
import numpy as np

import nllkern as nk

z = np.linspace(-8, 8, 401)
one = np.ones_like(z)
p = 1 / (1 + np.exp(-z))

curves = {
    "cross-entropy": nk.binary_cross_entropy.value_and_grad(z, one, reduction="none"),
    "hinge": nk.hinge.value_and_grad(z, one, reduction="none"),
}
value, slope = nk.squared_error.value_and_grad(p, one, reduction="none")
curves["squared error on sigmoid"] = value, slope * p * (1 - p)

figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for (label, curve), style in zip(curves.items(), ("-", "--", "-."), strict=True):
    for ax, y in zip(axes, curve, strict=True):
        ax.plot(z, y, style, label=label)
axes[0].set(title="loss, target positive", xlabel="logit", ylim=(-0.2, 6))
axes[1].set(title="its derivative by the logit", xlabel="logit", ylim=(-1.1, 0.1))
figure.legend(
    *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False
)
for ax in axes:
    ax.spines[["top", "right"]].set_visible(False)
