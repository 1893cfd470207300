// The losses as an XLA custom call on the CPU, compiled on first use against the installed jaxlib.
//
// Arguments: the inputs of the C function, then the arrays that `call` names.  Results: the value (or the losses), then
// the gradients, if any.  Attributes, few of them since looking one up takes XLA half a microsecond: `loss`, its name;
// `options`, the bytes of nllk_options; `call`, the integers of struct CallSize.  Every buffer is checked against them
// before it is read: it has the dtype and the number of elements that the loss expects.
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

// What a call says beside its options.
struct CallSize {
    int64_t loss, is_double;
    int64_t samples, size; // classes or dimension; 0: pointwise
    int64_t rank;          // of the value
    int64_t arrays;        // which there are, bit by bit: sample_weight, class_weight, extra
    const int64_t *inputs; // of each: elements per sample as a power of `size`, and 4 if all samples share it
    size_t input_count;

    int64_t InputElements(size_t k) const
    {
        int64_t elements = inputs[k] & 4 ? 1 : samples;
        for (int64_t power = inputs[k] & 3; power > 0; power--)
            elements *= size;
        return elements;
    }
};

// A buffer has the dtype and, in each call of the batch, the number of elements that the function reads or writes.
bool IsExpected(const ffi::AnyBuffer &x, Batch batch, ffi::DataType type, int64_t elements)
{
    const auto dims = x.dimensions();
    if (x.element_type() != type || dims.size() < batch.size())
        return false;
    int64_t found = 1;
    for (size_t d = 0; d < dims.size(); d++)
        if (d >= batch.size())
            found *= dims[d];
        else if (dims[d] != 1 && dims[d] != batch[d])
            return false;
    return found == elements;
}

ffi::DataType TargetType(const nllk_options &options, const CallSize &call, ffi::DataType real)
{
    const bool is_rows = call.size != 0 && call.input_count == 2;
    if (!is_rows || options.target == NLLK_TARGET_PROBABILITIES)
        return real;
    return options.target == NLLK_TARGET_INT32 ? ffi::DataType::S32 : ffi::DataType::S64;
}

// An element of an array, behind the dimensions of the batch, as it is written behind the array's name.
std::string Position(int64_t element, Batch dims, Batch batch)
{
    std::string text;
    for (size_t d = dims.size(); d-- > 0;) {
        const int64_t n = d < batch.size() ? batch[d] : dims[d];
        text = (d ? ", " : "") + std::to_string(element % n) + text;
        element /= n;
    }
    return text.empty() ? text : "[" + text + "]";
}

int64_t IndexAt(const void *indices, ptrdiff_t k, bool is_32)
{
    return is_32 ? static_cast<const int32_t *>(indices)[k] : static_cast<const int64_t *>(indices)[k];
}

// What is wrong with a call, in the words of nllkern's Python functions.
std::string Message(int status, const nllk_results &results, const nllk_options &options, const CallSize &call,
                    const void *target, const std::string &place)
{
    if (status == NLLK_BAD_INDEX) {
        const int64_t index = IndexAt(target, results.bad, options.target == NLLK_TARGET_INT32);
        std::string text = "target" + place + " is " + std::to_string(index);
        text += ", expected 0 <= index < " + std::to_string(call.size);
        return options.has_ignore_index ? text + " or ignore_index = " + std::to_string(options.ignore_index) : text;
    }
    std::string text = results.argument ? results.argument : "the call";
    if (results.bad >= 0)
        text += ", element " + std::to_string(results.bad);
    return text + ": " + nllk_message(status);
}

ffi::Error Run(ffi::RemainingArgs args, ffi::RemainingRets rets, ffi::Dictionary attrs)
{
    auto name = attrs.get<std::string_view>("loss");
    auto given = attrs.get<ffi::Span<const int64_t>>("options");
    auto numbers = attrs.get<ffi::Span<const int64_t>>("call");
    const std::string loss(name.has_value() ? *name : "nllkern");
    nllk_options options;
    if (!name.has_value() || args.size() > MAX_ARGUMENTS || rets.size() > MAX_RESULTS || rets.size() == 0 ||
        !given.has_value() || given->size() * 8 != sizeof options || !numbers.has_value() || numbers->size() < 8)
        return ffi::Error::InvalidArgument(loss + ": compiled for another version of nllkern");
    std::memcpy(&options, given->begin(), sizeof options);
    const int64_t *n = numbers->begin();
    const CallSize call = {n[0], n[1], n[2], n[3], n[4], n[5], n + 6, numbers->size() - 6};
    const bool has[] = {(call.arrays & 1) != 0, (call.arrays & 2) != 0, (call.arrays & 4) != 0};
    const int64_t array_elements[] = {call.samples, call.size, options.extra_period};
    if (args.size() != call.input_count + has[0] + has[1] + has[2])
        return ffi::Error::InvalidArgument(loss + ": a wrong number of buffers");
    ptrdiff_t samples = call.samples;

    const ffi::AnyBuffer value = **rets.get<ffi::AnyBuffer>(0);
    const auto dims = value.dimensions();
    if (dims.size() < static_cast<size_t>(call.rank))
        return ffi::Error::InvalidArgument(loss + ": the value has too few dimensions");
    Batch batch(dims.begin(), dims.size() - static_cast<size_t>(call.rank));
    int64_t calls = 1;
    for (int64_t x : batch)
        calls *= x;
    const ffi::DataType real = call.is_double ? ffi::DataType::F64 : ffi::DataType::F32;
    const bool reduces = options.reduction != NLLK_NONE;
    std::vector<Parts> in, out;
    bool alone = reduces ? samples == 1 && call.arrays == 0 && options.normalizer == 0 : call.arrays < 2;
    size_t array = 0; // of those that there may be
    for (size_t k = 0; k < args.size(); k++) {
        const ffi::AnyBuffer x = *args.get<ffi::AnyBuffer>(k);
        ffi::DataType type = k + 1 == call.input_count ? TargetType(options, call, real) : real;
        int64_t elements = k < call.input_count ? call.InputElements(k) : 0;
        if (k >= call.input_count) {
            while (!has[array])
                array++;
            type = real;
            elements = array_elements[array++];
        }
        if (!IsExpected(x, batch, type, elements))
            return ffi::Error::InvalidArgument(loss + ": argument " + std::to_string(k) +
                                               " has another dtype or size than the call expects");
        in.emplace_back(x, batch);
        alone &= !in[k].shared;
    }
    for (size_t k = 0; k < rets.size(); k++) {
        const ffi::AnyBuffer x = **rets.get<ffi::AnyBuffer>(k);
        if (k > call.input_count || !IsExpected(x, batch, real,
                                                k         ? call.InputElements(k - 1)
                                                : reduces ? 1
                                                          : call.samples))
            return ffi::Error::InvalidArgument(loss + ": result " + std::to_string(k) +
                                               " has another dtype or size than the call expects");
        UseHugePages(x.untyped_data(), x.size_bytes());
        out.emplace_back(x, batch);
    }
    if (calls > 1 && alone && options.shared == 0) { // samples that have nothing in common are one call
        options.reduction = NLLK_NONE;
        samples *= calls;
        calls = 1;
    }
    auto put = [&](void *to, double x) {
        const float narrow = static_cast<float>(x);
        std::memcpy(to, call.is_double ? static_cast<const void *>(&x) : &narrow,
                    call.is_double ? sizeof x : sizeof narrow);
    };
    for (int64_t b = 0; b < calls; b++) {
        void *x[MAX_ARGUMENTS];
        for (size_t k = 0; k < in.size(); k++)
            x[k] = in[k].at(b, batch);
        size_t next = call.input_count;
        options.sample_weight = has[0] ? x[next++] : nullptr;
        options.class_weight = has[1] ? x[next++] : nullptr;
        options.extra = has[2] ? x[next++] : nullptr;
        nllk_results results = NLLK_RESULTS;
        if (options.reduction == NLLK_NONE)
            results.loss = out[0].at(b, batch);
        for (size_t k = 1; k < out.size(); k++)
            results.grad[k - 1] = out[k].at(b, batch);
        const int status = nllk_compute(static_cast<int>(call.loss), static_cast<int>(call.is_double), samples,
                                        call.size, x, &options, &results);
        if (status != NLLK_OK) {
            const auto dims = args.get<ffi::AnyBuffer>(call.input_count - 1)->dimensions();
            const std::string place = Position(b * samples + results.bad, dims, batch);
            const std::string text = Message(status, results, options, call, x[call.input_count - 1], place);
            return ffi::Error::InvalidArgument(loss + ": " + text);
        }
        if (options.reduction != NLLK_NONE)
            put(out[0].at(b, batch), results.value);
        for (size_t k = 1; k < out.size() && call.size == 0; k++)
            if (options.shared >> (k - 1) & 1)
                put(results.grad[k - 1], results.grad_sum[k - 1]);
    }
    return ffi::Error::Success();
}

} // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nllkern_jax, Run, ffi::Ffi::Bind().RemainingArgs().RemainingRets().Attrs());
