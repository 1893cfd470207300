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

// The inputs come first in every function; `sizes` are what stands before the pointers.
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

// A buffer of which each call of a batch has its part.
struct Part {
    char *data;
    size_t stride;

    explicit Part(const ffi::AnyBuffer &x, int64_t batch)
        : data(static_cast<char *>(x.untyped_data())),
          stride(batch > 0 ? x.size_bytes() / static_cast<size_t>(batch) : 0)
    {
    }
    void *operator[](int64_t b) const { return data + static_cast<size_t>(b) * stride; }
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

    // vmap puts further dimensions in front of all buffers: a batch of calls.
    const ffi::AnyBuffer value = **rets.get<ffi::AnyBuffer>(0);
    auto dims = value.dimensions();
    int64_t batch = 1;
    for (size_t k = 0; k + rank < dims.size(); k++)
        batch *= dims[k];
    // Samples that have nothing in common are one call.
    const bool alone =
        options.reduction == NLLK_NONE ? arrays < 2 : samples == 1 && arrays == 0 && options.normalizer == 0;
    if (batch > 1 && alone && options.shared == 0) {
        options.reduction = NLLK_NONE;
        samples *= batch;
        batch = 1;
    }

    std::vector<Part> in, out;
    for (size_t k = 0; k < args.size(); k++)
        in.emplace_back(*args.get<ffi::AnyBuffer>(k), batch);
    for (size_t k = 0; k < rets.size(); k++) {
        const ffi::AnyBuffer x = **rets.get<ffi::AnyBuffer>(k);
        UseHugePages(x.untyped_data(), x.size_bytes());
        out.emplace_back(x, batch);
    }
    const bool is_double = value.element_type() == ffi::DataType::F64;
    auto put = [&](void *to, double x) {
        const float narrow = static_cast<float>(x);
        std::memcpy(to, is_double ? static_cast<const void *>(&x) : &narrow, is_double ? sizeof x : sizeof narrow);
    };
    for (int64_t b = 0; b < batch; b++) {
        void *x[MAX_ARGUMENTS];
        for (size_t k = 0; k < in.size(); k++)
            x[k] = in[k][b];
        size_t inputs = in.size() - static_cast<size_t>((arrays & 1) + (arrays >> 1 & 1) + (arrays >> 2 & 1));
        size_t next = inputs;
        options.sample_weight = arrays & 1 ? x[next++] : nullptr;
        options.class_weight = arrays & 2 ? x[next++] : nullptr;
        options.extra = arrays & 4 ? x[next++] : nullptr;
        nllk_results results = NLLK_RESULTS;
        if (options.reduction == NLLK_NONE)
            results.loss = out[0][b];
        for (size_t k = 1; k < out.size(); k++)
            results.grad[k - 1] = out[k][b];
        const int status = Call(function, inputs, samples, size, x, &options, &results);
        if (status != NLLK_OK) {
            std::string text = std::string(function->name) + ": " + nllk_message(status);
            if (status == NLLK_BAD_INDEX)
                text += ", in sample " + std::to_string(b * samples + results.bad);
            return ffi::Error::InvalidArgument(text);
        }
        if (options.reduction != NLLK_NONE)
            put(out[0][b], results.value);
        for (size_t k = 1; k < out.size() && size == 0; k++)
            if (options.shared >> (k - 1) & 1)
                put(out[k][b], results.grad_sum[k - 1]);
    }
    return ffi::Error::Success();
}

} // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nllkern_jax, Run, ffi::Ffi::Bind().RemainingArgs().RemainingRets().Attrs());
