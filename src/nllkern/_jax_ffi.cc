// The losses as an XLA custom call on the CPU, compiled on first use against the installed jaxlib.
//
// Arguments: the inputs of the C function, then the arrays that `call` names.  Results: the value (or the losses), then the
// gradients, if any.  Attributes, few of them since looking one up takes XLA half a microsecond: `function`, its name;
// `options`, the bytes of nllk_options; `call`: samples, classes or dimension (0: pointwise), rank of the value, and which
// arrays there are, bit by bit: sample_weight, class_weight, extra.
#include <nllkern/nllkern.h>

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace
{

// The functions of nllkern.h by what stands before their options.
using Points1 = int (*)(ptrdiff_t, const void *, const void *, const nllk_options *, nllk_results *);
using Points2 = int (*)(ptrdiff_t, const void *, const void *, const void *, const nllk_options *, nllk_results *);
using Points3 = int (*)(ptrdiff_t, const void *, const void *, const void *, const void *, const nllk_options *,
                        nllk_results *);
using Rows = int (*)(ptrdiff_t, ptrdiff_t, const void *, const void *, const nllk_options *, nllk_results *);
using Vectors = int (*)(ptrdiff_t, ptrdiff_t, const void *, const void *, const void *, const nllk_options *,
                        nllk_results *);

constexpr size_t MAX_ARGUMENTS = 8, MAX_RESULTS = 4;

// XLA allocates large results anew for every call, in small pages, whose first use takes longer than the kernel.
void UseHugePages(void *data, size_t bytes)
{
#ifdef MADV_HUGEPAGE
    constexpr uintptr_t page = 4096, least = uintptr_t{1} << 22;
    if (bytes >= least) {
        const uintptr_t begin = (reinterpret_cast<uintptr_t>(data) + page - 1) / page * page;
        const uintptr_t end = (reinterpret_cast<uintptr_t>(data) + bytes) / page * page;
        madvise(reinterpret_cast<void *>(begin), end - begin, MADV_HUGEPAGE); // an advice: it may fail
    }
#else
    (void)data, (void)bytes;
#endif
}

const nllk_function *Find(std::string_view name)
{
    const nllk_api *api = nllk_get_api();
    for (ptrdiff_t k = 0; k < api->count; k++)
        if (name == api->functions[k].name)
            return &api->functions[k];
    return nullptr;
}

// The dimensions that vmap has put in front of the buffers: a batch of calls.
using Batch = ffi::Span<const int64_t>;

// A buffer of which each call of a batch has its part.  What all calls share has 1 in the place of their number.
struct Parts {
    char *data;
    std::vector<size_t> strides; // from one part to the next, in each dimension of the batch
    bool shared = false;

    Parts(const ffi::AnyBuffer &x, Batch batch) : data(static_cast<char *>(x.untyped_data())), strides(batch.size())
    {
        const auto dims = x.dimensions();
        size_t stride = ffi::ByteWidth(x.element_type());
        for (size_t d = dims.size(); d-- > 0; stride *= static_cast<size_t>(dims[d]))
            if (d < batch.size()) {
                strides[d] = dims[d] == 1 ? 0 : stride;
                shared |= dims[d] != batch[d];
            }
    }
    void *at(int64_t call, Batch batch) const
    {
        char *part = data;
        for (size_t d = batch.size(); d-- > 0; call /= batch[d])
            part += static_cast<size_t>(call % batch[d]) * strides[d];
        return part;
    }
};

int Call(const nllk_function *function, size_t inputs, ptrdiff_t samples, ptrdiff_t size, void *const *x,
         const nllk_options *options, nllk_results *results)
{
    auto address = function->address;
    if (size == 0 && inputs == 2)
        return reinterpret_cast<Points1>(address)(samples, x[0], x[1], options, results);
    if (size == 0 && inputs == 3)
        return reinterpret_cast<Points2>(address)(samples, x[0], x[1], x[2], options, results);
    if (size == 0)
        return reinterpret_cast<Points3>(address)(samples, x[0], x[1], x[2], x[3], options, results);
    if (inputs == 2)
        return reinterpret_cast<Rows>(address)(samples, size, x[0], x[1], options, results);
    return reinterpret_cast<Vectors>(address)(samples, size, x[0], x[1], x[2], options, results);
}

ffi::Error Run(ffi::RemainingArgs args, ffi::RemainingRets rets, ffi::Dictionary attrs)
{
    auto name = attrs.get<std::string_view>("function");
    auto given = attrs.get<ffi::Span<const int64_t>>("options"), call = attrs.get<ffi::Span<const int64_t>>("call");
    const nllk_function *function = name.has_value() ? Find(*name) : nullptr;
    nllk_options options;
    if (!function || args.size() > MAX_ARGUMENTS || rets.size() > MAX_RESULTS || given->size() * 8 != sizeof options ||
        call->size() != 4)
        return ffi::Error::InvalidArgument("nllkern: compiled for another version");
    std::memcpy(&options, given->begin(), sizeof options);
    const int64_t *c = call->begin(), arrays = c[3];
    ptrdiff_t samples = c[0];
    const ptrdiff_t size = c[1];
    const auto rank = static_cast<size_t>(c[2]);

    const ffi::AnyBuffer value = **rets.get<ffi::AnyBuffer>(0);
    const auto dims = value.dimensions();
    Batch batch(dims.begin(), dims.size() - rank);
    int64_t calls = 1;
    for (int64_t x : batch)
        calls *= x;
    std::vector<Parts> in, out;
    bool alone = options.reduction == NLLK_NONE ? arrays < 2 : samples == 1 && arrays == 0 && options.normalizer == 0;
    for (size_t k = 0; k < args.size(); k++) {
        in.emplace_back(*args.get<ffi::AnyBuffer>(k), batch);
        alone &= !in[k].shared;
    }
    for (size_t k = 0; k < rets.size(); k++) {
        const ffi::AnyBuffer x = **rets.get<ffi::AnyBuffer>(k);
        UseHugePages(x.untyped_data(), x.size_bytes());
        out.emplace_back(x, batch);
    }
    if (calls > 1 && alone && options.shared == 0) { // samples that have nothing in common are one call
        options.reduction = NLLK_NONE;
        samples *= calls;
        calls = 1;
    }
    const bool is_double = value.element_type() == ffi::DataType::F64;
    auto put = [&](void *to, double x) {
        const float narrow = static_cast<float>(x);
        std::memcpy(to, is_double ? static_cast<const void *>(&x) : &narrow, is_double ? sizeof x : sizeof narrow);
    };
    for (int64_t b = 0; b < calls; b++) {
        void *x[MAX_ARGUMENTS];
        for (size_t k = 0; k < in.size(); k++)
            x[k] = in[k].at(b, batch);
        size_t inputs = in.size() - static_cast<size_t>((arrays & 1) + (arrays >> 1 & 1) + (arrays >> 2 & 1));
        size_t next = inputs;
        options.sample_weight = arrays & 1 ? x[next++] : nullptr;
        options.class_weight = arrays & 2 ? x[next++] : nullptr;
        options.extra = arrays & 4 ? x[next++] : nullptr;
        nllk_results results = NLLK_RESULTS;
        if (options.reduction == NLLK_NONE)
            results.loss = out[0].at(b, batch);
        for (size_t k = 1; k < out.size(); k++)
            results.grad[k - 1] = out[k].at(b, batch);
        const int status = Call(function, inputs, samples, size, x, &options, &results);
        if (status != NLLK_OK) {
            std::string text = std::string(function->name) + ": " + nllk_message(status);
            if (status == NLLK_BAD_INDEX)
                text += ", in sample " + std::to_string(b * samples + results.bad);
            return ffi::Error::InvalidArgument(text);
        }
        if (options.reduction != NLLK_NONE)
            put(out[0].at(b, batch), results.value);
        for (size_t k = 1; k < out.size() && size == 0; k++)
            if (options.shared >> (k - 1) & 1)
                put(results.grad[k - 1], results.grad_sum[k - 1]);
    }
    return ffi::Error::Success();
}

} // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nllkern_jax, Run, ffi::Ffi::Bind().RemainingArgs().RemainingRets().Attrs());
