"""Losses of the real line over the residual, and their derivatives: how much an outlier pulls."""

import matplotlib.pyplot as plt
import numpy as np

import nllkern as nk

r = np.linspace(-6, 6, 601)
zero = np.zeros_like(r)

curves = {
    "squared_error": nk.squared_error.value_and_grad(r, zero, reduction="none"),
    "huber, delta=1": nk.huber.value_and_grad(r, zero, reduction="none"),
    "absolute_error": nk.absolute_error.value_and_grad(r, zero, reduction="none"),
}

figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for (label, curve), style in zip(curves.items(), ("-", "--", ":"), strict=True):
    for ax, y in zip(axes, curve, strict=True):
        ax.plot(r, y, style, label=label)
axes[0].set(title="loss", xlabel="prediction - target", ylim=(-0.2, 6))
axes[1].set(title="its derivative by the prediction", xlabel="prediction - target", ylim=(-3, 3))
figure.legend(
    *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False
)
for ax in axes:
    ax.spines[["top", "right"]].set_visible(False)
