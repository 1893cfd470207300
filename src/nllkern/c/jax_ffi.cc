// The losses as an XLA custom call on the CPU, compiled on first use against the installed jaxlib.
//
// Arguments: the inputs of the C function, then the arrays that the attribute `arrays` names, bit by bit: sample_weight,
// class_weight, extra.  Results: the value (or the losses), then the gradients, if any.  Attributes: `function`, and options.
#include <nllkern/nllkern.h>

#include <cstring>
#include <string>

#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace {

// The inputs come first in every function; `sizes` are what stands before the pointers.
using Points1 = int (*)(ptrdiff_t, const void *, const void *, const nllk_options *, nllk_results *);
using Points2 = int (*)(ptrdiff_t, const void *, const void *, const void *, const nllk_options *, nllk_results *);
using Points3 = int (*)(ptrdiff_t, const void *, const void *, const void *, const void *, const nllk_options *,
                        nllk_results *);
using Rows = int (*)(ptrdiff_t, ptrdiff_t, const void *, const void *, const nllk_options *, nllk_results *);
using Vectors = int (*)(ptrdiff_t, ptrdiff_t, const void *, const void *, const void *, const nllk_options *,
                        nllk_results *);

const nllk_function *Find(const std::string &name)
{
    const nllk_api *api = nllk_get_api();
    for (ptrdiff_t k = 0; k < api->count; k++)
        if (name == api->functions[k].name)
            return &api->functions[k];
    return nullptr;
}

ffi::Error Run(ffi::RemainingArgs args, ffi::RemainingRets rets, ffi::Dictionary attrs)
{
    auto number = [&](const char *key, double otherwise) {
        auto found = attrs.get<double>(key);
        return found.has_value() ? *found : otherwise;
    };
    auto integer = [&](const char *key) {
        auto found = attrs.get<int64_t>(key);
        return found.has_value() ? *found : 0;
    };
    const nllk_function *function = Find(std::string(*attrs.get<std::string_view>("function")));
    if (!function)
        return ffi::Error::InvalidArgument("nllkern: no such function");

    nllk_options options = NLLK_OPTIONS;
    nllk_results results = NLLK_RESULTS;
    options.want = static_cast<int>(integer("want"));
    options.reduction = static_cast<int>(integer("reduction"));
    options.link = static_cast<int>(integer("link"));
    options.own_link = static_cast<int>(integer("own_link"));
    options.target = static_cast<int>(integer("target"));
    options.variant = static_cast<int>(integer("variant"));
    options.shared = static_cast<int>(integer("shared"));
    options.num_threads = static_cast<int>(integer("num_threads"));
    options.drop_constants = static_cast<int>(integer("drop_constants"));
    options.has_ignore_index = static_cast<int>(integer("has_ignore_index"));
    options.ignore_index = integer("ignore_index");
    options.normalizer = number("normalizer", 0);
    options.label_smoothing = number("label_smoothing", 0);
    options.z_loss = number("z_loss", 0);
    options.softcap = number("softcap", 0);
    options.margin = number("margin", options.margin);
    options.p = number("p", options.p);
    options.extra_period = integer("extra_period");

    const int64_t arrays = integer("arrays");
    const size_t inputs = args.size() - static_cast<size_t>((arrays & 1) + (arrays >> 1 & 1) + (arrays >> 2 & 1));
    const void *data[8] = {nullptr};
    for (size_t k = 0; k < args.size() && k < 8; k++)
        data[k] = args.get<ffi::AnyBuffer>(k)->untyped_data();
    size_t next = inputs;
    if (arrays & 1)
        options.sample_weight = data[next++];
    if (arrays & 2)
        options.class_weight = data[next++];
    if (arrays & 4)
        options.extra = data[next++];

    auto value = *rets.get<ffi::AnyBuffer>(0);
    if (options.reduction == NLLK_NONE)
        results.loss = value->untyped_data();
    for (size_t k = 1; k < rets.size(); k++)
        results.grad[k - 1] = (*rets.get<ffi::AnyBuffer>(k))->untyped_data();

    const ptrdiff_t samples = integer("samples"), size = integer("size");
    int status;
    if (size == 0 && inputs == 2)
        status = reinterpret_cast<Points1>(function->address)(samples, data[0], data[1], &options, &results);
    else if (size == 0 && inputs == 3)
        status = reinterpret_cast<Points2>(function->address)(samples, data[0], data[1], data[2], &options, &results);
    else if (size == 0)
        status = reinterpret_cast<Points3>(function->address)(samples, data[0], data[1], data[2], data[3], &options,
                                                              &results);
    else if (inputs == 2)
        status = reinterpret_cast<Rows>(function->address)(samples, size, data[0], data[1], &options, &results);
    else
        status = reinterpret_cast<Vectors>(function->address)(samples, size, data[0], data[1], data[2], &options,
                                                              &results);
    if (status != NLLK_OK) {
        std::string text = std::string(function->name) + ": " + nllk_message(status);
        if (status == NLLK_BAD_INDEX)
            text += ", in sample " + std::to_string(results.bad);
        return ffi::Error::InvalidArgument(text);
    }
    const bool is_double = value->element_type() == ffi::DataType::F64;
    auto put = [&](void *to, double x) {
        const float narrow = static_cast<float>(x);
        std::memcpy(to, is_double ? static_cast<const void *>(&x) : &narrow, is_double ? sizeof x : sizeof narrow);
    };
    if (options.reduction != NLLK_NONE)
        put(value->untyped_data(), results.value);
    for (size_t k = 1; k < rets.size() && size == 0; k++)
        if (options.shared >> (k - 1) & 1)
            put(results.grad[k - 1], results.grad_sum[k - 1]);
    return ffi::Error::Success();
}

} // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nllkern_jax, Run, ffi::Ffi::Bind().RemainingArgs().RemainingRets().Attrs());
