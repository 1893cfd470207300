// An ordinary call of a loss with PyTorch's tensors, for _torch_call.cc.
#ifndef NLLKERN_TORCH_COMPUTE_H
#define NLLKERN_TORCH_COMPUTE_H

#include <ATen/EmptyTensor.h>
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <nllkern/nllkern.h>

#include <memory>
#include <string>
#include <vector>

extern "C" int nllk_prefer_threading(int way); // of the calling thread, where the user has chosen none

namespace
{

using at::Tensor;

constexpr size_t MAX_INPUTS = NLLK_MAX_PARAMETERS + 1;
constexpr int64_t LARGE = int64_t{1} << 22; // bytes: results from here on come from memory that Python's code keeps

enum { TAKES_INDEX = 1, TAKES_PROBABILITIES = 2 };
enum { SAMPLE_WEIGHT, PER_CLASS, PER_SAMPLE }; // kinds of options that are arrays

// What is constant in a call.  Tensors: the inputs, then the arrays.
struct Plan {
    std::string spec; // the same for Python
    nllk_options options;
    int loss, parameters, targets;
    std::string powers; // of each input: elements per sample as a power of the classes or the dimension
    std::string arrays; // the kinds of those that there are

    size_t inputs() const { return powers.size(); }
    bool is_pointwise() const { return powers[0] == 0; }
};

using PlanPtr = std::shared_ptr<const Plan>;

// A tensor like any other on the CPU, whose numbers lie one after the other.
bool IsOrdinary(const Tensor &x)
{
    using c10::DispatchKey;
    constexpr c10::DispatchKeySet ordinary{DispatchKey::CPU, DispatchKey::AutogradCPU, DispatchKey::ADInplaceOrView,
                                           DispatchKey::AutocastCPU};
    return ordinary.has_all(x.key_set()) && x.is_contiguous();
}

// Whether the sizes are those of `shape` and then `power` times `size`.
bool HasShape(c10::IntArrayRef own, c10::IntArrayRef shape, int64_t size, int power)
{
    if (own.size() != shape.size() + static_cast<size_t>(power) || own.slice(0, shape.size()) != shape)
        return false;
    for (int64_t n : own.slice(shape.size()))
        if (n != size)
            return false;
    return true;
}

// Whether an array only has to be repeated to have the shape.
bool Repeats(c10::IntArrayRef own, c10::IntArrayRef shape)
{
    if (own.empty() || own.size() > shape.size())
        return false;
    while (!own.empty() && own[0] == 1)
        own = own.slice(1);
    return own == shape.slice(shape.size() - own.size());
}

Tensor Empty(c10::IntArrayRef sizes, at::ScalarType type)
{
    return Tensor(at::detail::empty_cpu(sizes, type, false, std::nullopt));
}

void Put(const Tensor &to, double x)
{
    if (to.scalar_type() == at::kDouble)
        *static_cast<double *>(to.data_ptr()) = x;
    else
        *static_cast<float *>(to.data_ptr()) = static_cast<float>(x);
}

// The value and, if they are wanted, the gradients; false: Python's code has to serve the call.
bool Compute(const Plan &plan, at::TensorList x, bool want, std::vector<Tensor> *results)
{
    const size_t count = plan.inputs();
    if (x.size() != count + plan.arrays.size())
        return false;
    const at::ScalarType real = x[0].scalar_type();
    if (real != at::kFloat && real != at::kDouble)
        return false;
    const int64_t large = LARGE / (real == at::kDouble ? 8 : 4);
    for (const Tensor &a : x)
        if (!IsOrdinary(a) || a.numel() >= large)
            return false;

    c10::IntArrayRef shape = x[0].sizes(); // of the losses of the samples
    int64_t size = 0;
    if (!plan.is_pointwise()) {
        if (shape.empty() || shape.back() == 0)
            return false;
        size = shape.back();
        shape = shape.slice(0, shape.size() - 1);
    }
    for (size_t k = 1; plan.is_pointwise() && shape.empty() && k < count; k++)
        shape = x[k].sizes();
    nllk_options options = plan.options;
    const void *inputs[MAX_INPUTS];
    for (size_t k = 0; k < count; k++) {
        const Tensor &a = x[k];
        const int power = plan.powers[k];
        const bool is_target = static_cast<int>(k) >= plan.parameters, is_32 = a.scalar_type() == at::kInt;
        inputs[k] = a.const_data_ptr();
        if (is_target && plan.targets & TAKES_INDEX && (is_32 || a.scalar_type() == at::kLong)) {
            if (a.sizes() != shape)
                return false;
            options.target = is_32 ? NLLK_TARGET_INT32 : NLLK_TARGET_INT64;
        } else if (a.scalar_type() != real || (is_target && plan.targets && !(plan.targets & TAKES_PROBABILITIES))) {
            return false;
        } else if (HasShape(a.sizes(), shape, size, power)) {
            if (is_target && plan.targets)
                options.target = NLLK_TARGET_PROBABILITIES;
        } else if (power != 1 && HasShape(a.sizes(), {}, size, power)) {
            options.shared |= 1 << k;
        } else {
            return false;
        }
    }
    for (size_t k = 0; k < plan.arrays.size(); k++) {
        const Tensor &a = x[count + k];
        const int kind = plan.arrays[k];
        const bool good = kind == SAMPLE_WEIGHT ? a.sizes() == shape
                          : kind == PER_CLASS   ? HasShape(a.sizes(), {}, size, 1)
                                                : Repeats(a.sizes(), shape);
        if (!good || a.scalar_type() != real)
            return false;
        if (kind == PER_SAMPLE)
            options.extra_period = std::max<int64_t>(a.numel(), 1);
        (kind == SAMPLE_WEIGHT ? options.sample_weight
         : kind == PER_CLASS   ? options.class_weight
                               : options.extra) = a.const_data_ptr();
    }

    const bool reduces = options.reduction != NLLK_NONE;
    if (want && !reduces && options.shared) // each sample has a gradient of its own by what all share
        return false;
    nllk_results r = NLLK_RESULTS;
    results->clear();
    results->push_back(Empty(reduces ? c10::IntArrayRef() : shape, real));
    if (!reduces)
        r.loss = results->front().data_ptr();
    const auto is_sum = [&](int k) { return plan.is_pointwise() && (options.shared >> k & 1); };
    for (int k = 0; want && k < plan.parameters; k++) {
        results->push_back(Empty(x[static_cast<size_t>(k)].sizes(), real));
        if (!is_sum(k))
            r.grad[k] = results->back().data_ptr();
    }
    options.want = want ? NLLK_GRADIENT : NLLK_VALUE;
    if (options.num_threads == 0)
        options.num_threads = std::min(at::get_num_threads(), nllk_get_num_threads());
    int64_t samples = 1;
    for (int64_t n : shape)
        samples *= n;
    const int before = nllk_prefer_threading(NLLK_OPENMP); // PyTorch has woken its threads
    const int status =
        nllk_compute(plan.loss, real == at::kDouble, static_cast<ptrdiff_t>(samples), size, inputs, &options, &r);
    nllk_prefer_threading(before);
    if (status != NLLK_OK)
        return false;
    if (reduces)
        Put(results->front(), r.value);
    for (int k = 0; want && k < plan.parameters; k++)
        if (is_sum(k))
            Put((*results)[static_cast<size_t>(k) + 1], r.grad_sum[k]);
    return true;
}

} // namespace

#endif
