// Calls of the losses with PyTorch's tensors, compiled on first use against the installed torch: a function for Python that
// autograd knows, and the operator nllkern::loss on the CPU, for torch.compile.
//
// Both serve ordinary calls: contiguous tensors of one dtype whose shapes go together.  Python's code serves all others,
// and says what is wrong with a call: it is asked whenever Compute returns false, and for derivatives of gradients.
#define PY_SSIZE_T_CLEAN
#include <torch/csrc/autograd/python_variable.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/library.h>

#include "_torch_compute.h"

#include <cstring>
#include <mutex>
#include <unordered_map>

namespace
{

using torch::autograd::Node;
using NodePtr = decltype(torch::autograd::Edge::function); // std::shared_ptr in PyTorch 2.6, c10::intrusive_ptr in 2.13

constexpr int64_t SHORT = 4096; // elements: a shorter call is not worth releasing the GIL

// Whether this thread is inside torch.func, torch.jit.trace or a mode that sees each operation.
bool IsWatched()
{
    using c10::DispatchKey;
    constexpr c10::DispatchKeySet watching{DispatchKey::FuncTorchDynamicLayerFrontMode, DispatchKey::Tracer,
                                           DispatchKey::Python};
    return c10::impl::tls_local_dispatch_key_set().included_.has_any(watching);
}

// ---- calls of Python ----

PyObject *ask_again, *ask_python, *ask_plan; // functions of Python

py::tuple Tuple(at::TensorList x)
{
    py::tuple found(x.size());
    for (size_t k = 0; k < x.size(); k++)
        found[k] = py::reinterpret_steal<py::object>(THPVariable_Wrap(x[k]));
    return found;
}

// What the function returns, a sequence of tensors and None.
template <class... Arguments> std::vector<Tensor> Ask(PyObject *function, Arguments &&...arguments)
{
    const py::object found = py::reinterpret_borrow<py::object>(function)(std::forward<Arguments>(arguments)...);
    std::vector<Tensor> tensors;
    for (py::handle x : found)
        tensors.push_back(x.is_none() ? Tensor() : THPVariable_Unpack(x.ptr()));
    return tensors;
}

constexpr const char *PLAN = "nllkern plan";

PlanPtr PlanIn(PyObject *capsule)
{
    const auto *plan = static_cast<PlanPtr *>(PyCapsule_GetPointer(capsule, PLAN));
    if (plan == nullptr)
        throw python_error();
    return *plan;
}

// ---- autograd ----

struct Loss : Node {
    PlanPtr plan;
    std::vector<torch::autograd::SavedVariable> saved; // the inputs, whose versions are looked at when they are read
    std::vector<Tensor> arrays;
    std::vector<Tensor> grads; // given away, so that autograd need not copy them; a second call computes them anew

    using Node::Node;

    std::string name() const override { return "NllkernLoss"; }

    void release_variables() override
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        for (auto &x : saved)
            x.reset_data();
        arrays.clear();
        grads.clear();
    }

    std::vector<Tensor> apply(std::vector<Tensor> &&upstreams) override
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        const Tensor &upstream = upstreams[0];
        std::vector<Tensor> found(plan->inputs());
        if (!upstream.defined())
            return found;
        if (grads.empty() || c10::GradMode::is_enabled())
            return Again(upstream);
        const bool is_ordinary = IsOrdinary(upstream);
        const bool is_one = is_ordinary && upstream.dim() == 0 &&
                            (upstream.scalar_type() == at::kDouble ? *upstream.const_data_ptr<double>() == 1
                                                                   : *upstream.const_data_ptr<float>() == 1);
        for (size_t k = 0; k < grads.size(); k++) {
            if (!task_should_compute_output(k))
                continue;
            found[k] = std::move(grads[k]);
            if (is_one)
                continue;
            std::vector<c10::SymInt> sizes = upstream.sym_sizes().vec();
            sizes.resize(static_cast<size_t>(found[k].dim()), 1);
            const Tensor factor = upstream.dim() ? upstream.reshape_symint(sizes) : upstream;
            found[k] = is_ordinary ? found[k].mul_(factor) : found[k].mul(factor);
        }
        grads.clear();
        return found;
    }

  private:
    std::vector<Tensor> Again(const Tensor &upstream)
    {
        std::vector<Tensor> tensors;
        for (auto &x : saved)
            tensors.push_back(x.unpack());
        tensors.insert(tensors.end(), arrays.begin(), arrays.end());
        const py::gil_scoped_acquire gil;
        py::tuple needs(saved.size());
        for (size_t k = 0; k < saved.size(); k++)
            needs[k] = task_should_compute_output(k);
        try {
            return Ask(ask_again, plan->spec, Tuple(tensors), needs,
                       py::reinterpret_steal<py::object>(THPVariable_Wrap(upstream)));
        } catch (py::error_already_set &error) {
            error.restore();
            python_error raised;
            raised.persist();
            throw raised;
        }
    }
};

template <class Pointer> Pointer Share(Loss *node)
{
    if constexpr (std::is_same_v<Pointer, std::shared_ptr<Node>>)
        return Pointer(node);
    else
        return Pointer::unsafe_steal_from_new(node);
}

// ---- what Python sees ----

// attempt(plan, *tensors): the value, or None if Python's code has to serve the call.
PyObject *Attempt(PyObject *, PyObject *const *arguments, Py_ssize_t count)
{
    HANDLE_TH_ERRORS
    const PlanPtr plan = PlanIn(arguments[0]);
    std::vector<Tensor> tensors;
    tensors.reserve(static_cast<size_t>(count) - 1);
    bool want = false, elsewhere = false;
    for (Py_ssize_t k = 1; k < count; k++) {
        if (!THPVariable_CheckExact(arguments[k]))
            Py_RETURN_NONE;
        const Tensor &x = THPVariable_Unpack(arguments[k]);
        if (x.requires_grad())
            (k <= plan->parameters ? want : elsewhere) = true;
        tensors.push_back(x);
    }
    want = want && c10::GradMode::is_enabled();
    if (elsewhere || tensors.size() < plan->inputs() || IsWatched())
        Py_RETURN_NONE;
    std::vector<Tensor> results;
    {
        std::optional<py::gil_scoped_release> released;
        if (tensors[0].numel() >= SHORT)
            released.emplace();
        if (!Compute(*plan, tensors, want, &results))
            results.clear();
    }
    if (results.empty())
        Py_RETURN_NONE;
    if (want) {
        const auto inputs = at::TensorList(tensors).slice(0, plan->inputs());
        auto *node = new Loss(torch::autograd::collect_next_edges(inputs[0]));
        const NodePtr shared = Share<NodePtr>(node);
        for (size_t k = 1; k < inputs.size(); k++)
            node->add_next_edge(torch::autograd::impl::gradient_edge(inputs[k]));
        node->plan = plan;
        node->saved.reserve(inputs.size());
        for (const Tensor &x : inputs)
            node->saved.emplace_back(x, false);
        node->arrays.assign(tensors.begin() + static_cast<ptrdiff_t>(inputs.size()), tensors.end());
        node->grads.assign(std::make_move_iterator(results.begin() + 1), std::make_move_iterator(results.end()));
        torch::autograd::set_history(results[0], shared);
    }
    return THPVariable_Wrap(results[0]);
    END_HANDLE_TH_ERRORS
}

// plan(spec, options, loss, parameters, targets, powers, arrays)
PyObject *MakePlan(PyObject *, PyObject *arguments)
{
    const char *spec, *options, *powers, *arrays;
    Py_ssize_t spec_size, options_size, powers_size, arrays_size;
    Plan plan;
    if (!PyArg_ParseTuple(arguments, "s#y#iiiy#y#", &spec, &spec_size, &options, &options_size, &plan.loss,
                          &plan.parameters, &plan.targets, &powers, &powers_size, &arrays, &arrays_size))
        return nullptr;
    if (options_size != sizeof plan.options || powers_size < 1 || powers_size > static_cast<Py_ssize_t>(MAX_INPUTS)) {
        PyErr_SetString(PyExc_ValueError, "plan: compiled for another version of nllkern");
        return nullptr;
    }
    std::memcpy(&plan.options, options, sizeof plan.options);
    plan.spec.assign(spec, static_cast<size_t>(spec_size));
    plan.powers.assign(powers, static_cast<size_t>(powers_size));
    plan.arrays.assign(arrays, static_cast<size_t>(arrays_size));
    return PyCapsule_New(new PlanPtr(std::make_shared<const Plan>(std::move(plan))), PLAN,
                         [](PyObject *capsule) { delete static_cast<PlanPtr *>(PyCapsule_GetPointer(capsule, PLAN)); });
}

// The plan of a spec; nullptr: Python's code serves all its calls.
PlanPtr Find(const std::string &spec)
{
    static std::mutex changing;
    static std::unordered_map<std::string, PlanPtr> plans;
    {
        const std::lock_guard<std::mutex> lock(changing);
        if (const auto found = plans.find(spec); found != plans.end())
            return found->second;
    }
    PlanPtr plan;
    {
        const py::gil_scoped_acquire gil;
        const py::object capsule = py::reinterpret_borrow<py::object>(ask_plan)(spec);
        if (!capsule.is_none())
            plan = PlanIn(capsule.ptr());
    }
    const std::lock_guard<std::mutex> lock(changing);
    return plans[spec] = plan;
}

std::vector<Tensor> Operator(const std::string &spec, at::TensorList tensors, bool want)
{
    const PlanPtr plan = Find(spec);
    std::vector<Tensor> results;
    if (plan && Compute(*plan, tensors, want, &results))
        return results;
    const py::gil_scoped_acquire gil;
    return Ask(ask_python, spec, Tuple(tensors), want);
}

// connect(again, compute, plan_of): functions of Python that are called where this file does not know further.
PyObject *Connect(PyObject *, PyObject *arguments)
{
    if (!PyArg_ParseTuple(arguments, "OOO", &ask_again, &ask_python, &ask_plan))
        return nullptr;
    for (PyObject *function : {ask_again, ask_python, ask_plan})
        Py_INCREF(function);
    // Not before: from here on other threads' compiled code calls it.
    static auto *library =
        new torch::Library(torch::Library::IMPL, "nllkern", c10::DispatchKey::CPU, __FILE__, __LINE__);
    library->impl("loss", Operator);
    Py_RETURN_NONE;
}

template <class Function> PyCFunction AsPython(Function function)
{
    return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

} // namespace

PyMODINIT_FUNC PyInit__torch_call()
{
    static PyMethodDef functions[] = {{"attempt", AsPython(Attempt), METH_FASTCALL, nullptr},
                                      {"plan", MakePlan, METH_VARARGS, nullptr},
                                      {"connect", Connect, METH_VARARGS, nullptr},
                                      {nullptr, nullptr, 0, nullptr}};
    static PyModuleDef definition = {
        PyModuleDef_HEAD_INIT, "nllkern._torch_call", nullptr, -1, functions, nullptr, nullptr, nullptr, nullptr};
    PyObject *module = PyModule_Create(&definition);
#ifdef Py_GIL_DISABLED
    if (module != nullptr)
        PyUnstable_Module_SetGIL(module, Py_MOD_GIL_NOT_USED);
#endif
    return module;
}
