# The network: layer dictionaries in, steps without the GIL, tensors out as read-only views.
# Included by _binding.pxi; the public face is network.py.


cdef extern from "host/layer_dict.h":
    cdef cppclass LayerDict:
        LayerDict()
        cmap[string, vector[double]] numbers
        cmap[string, vector[string]] words


cdef extern from "host/layer.h":
    cdef enum class PassType:
        Train
        Test
        GradientCheck
        Features
        FirstView
        MiddleView
        LastView

    cdef cppclass CLayer "Layer":
        int outputs
        Matrix tensor(const string&, int) except +refused
        Matrix* overwrite(const string&, int) except +refused
        const Matrix* likeness(const string&, int) except +refused
        const vector[double]& cost()


cdef extern from "host/network.h":
    cdef cppclass Contribution "Network::Contribution":
        Contribution()
        string consumer
        int input
        cbool given
        Matrix actsGrad

    cdef cppclass CNetwork "Network":
        CNetwork(Device&, const vector[LayerDict]&, int, int, cbool) except +refused
        void forward(const string&, vector[Matrix], const Matrix*, PassType) except +refused nogil
        void backward(const string&, const Matrix*, double) except +refused nogil
        cbool update(const string&, double) except +refused nogil
        void release(const string&, cbool) except +refused
        Matrix sumGrad(const string&, const vector[Contribution]&) except +refused nogil
        void setNormals(const string&, vector[double]) except +refused
        void setConnections(const string&, int, const vector[int]&) except +refused
        CLayer& at(const string&) except +refused
        double seconds(const string&, const string&)


@cython.no_gc_clear                # the matrix must go before the device that it is on
cdef class Buffer:
    """Keeps a matrix of the engine alive while NumPy looks at its memory."""
    cdef Home home
    cdef Matrix matrix
    cdef object lender             # who owns the memory, where the engine only borrows it

    cdef object array(self):
        if not self.home.device.sharesHostMemory():
            copy = matrix_array(self.matrix, self.home.device[0])
            copy.setflags(write=False)
            return copy
        cdef bint trans = self.matrix.isTrans()
        cdef cnp.npy_intp[2] shape
        shape[0] = self.matrix.cols() if trans else self.matrix.rows()
        shape[1] = self.matrix.rows() if trans else self.matrix.cols()
        cdef cnp.ndarray view = cnp.PyArray_SimpleNewFromData(2, shape, cnp.NPY_FLOAT32, self.matrix.data())
        cnp.set_array_base(view, self)
        view.setflags(write=False)
        return view.T if trans else view


cdef list PASS_TYPES = ["train", "test", "gc", "features", "first_view", "middle_view", "last_view"]


@cython.no_gc_clear                # the network must go before its device
cdef class NetworkCore:
    """A network on a device; arguments have been checked by network.py."""
    cdef Home home
    cdef CNetwork* network
    cdef dict fed                  # arrays that the engine borrows, by layer
    cdef object __weakref__

    def __cinit__(self, list layers, int threads, int update_every, int minibatch, bint quantise, device, dict quirks):
        cdef vector[LayerDict] dicts
        self.home = Home(threads, device)
        set_quirks(self.home.device, quirks)
        self.fed = {}
        for numbers, words in layers:
            dicts.push_back(layer_dict(numbers, words))
        self.network = new CNetwork(self.home.device[0], dicts, update_every, minibatch, quantise)

    def __dealloc__(self):
        del self.network

    def forward(self, str layer, list inputs, mask, str pass_type):
        cdef string name = layer.encode()
        cdef vector[Matrix] given
        cdef Matrix mask_matrix
        cdef const Matrix* mask_pointer = NULL
        cdef PassType kind = <PassType> <int> PASS_TYPES.index(pass_type)
        for array in inputs:
            given.push_back(move(host_matrix(self.home.device[0], array, False)))
        if mask is not None:
            mask_matrix = host_matrix(self.home.device[0], mask, False)
            mask_pointer = &mask_matrix
        try:
            with nogil:
                self.network.forward(name, move(given), mask_pointer, kind)
        except BaseException:
            self.release(layer)    # nothing borrowed may be left behind
            raise
        self.fed[layer] = (inputs, mask)

    def backward(self, str layer, acts_grad, double progress):
        cdef string name = layer.encode()
        cdef Matrix grad
        cdef const Matrix* grad_pointer = NULL
        if acts_grad is not None:
            grad = host_matrix(self.home.device[0], acts_grad, False)
            grad_pointer = &grad
        with nogil:
            self.network.backward(name, grad_pointer, progress)

    def update(self, str layer, double progress):
        cdef string name = layer.encode()
        cdef cbool due
        with nogil:
            due = self.network.update(name, progress)
        return due

    def sum_grad(self, str layer, list parts):
        cdef string name = layer.encode()
        cdef vector[Contribution] contributions
        cdef Contribution part
        cdef Buffer total = Buffer()
        for consumer, index, acts_grad in parts:
            part = Contribution()
            part.consumer = consumer.encode()
            part.input = index
            part.given = acts_grad is not None
            if acts_grad is not None:
                part.actsGrad = host_matrix(self.home.device[0], acts_grad, False)
            contributions.push_back(move(part))
        total.home = self.home
        with nogil:
            total.matrix = self.network.sumGrad(name, contributions)
        return total.array()

    def release(self, str layer, bint acts_alone=False):
        self.network.release(layer.encode(), acts_alone)
        if not acts_alone:
            self.fed.pop(layer, None)

    def read(self, str layer, str tensor, int index):
        """A read-only view, or None: the engine never writes into memory that somebody looks at."""
        cdef Buffer buffer = Buffer()
        buffer.home = self.home
        buffer.matrix = self.network.at(layer.encode()).tensor(tensor.encode(), index)
        if not buffer.matrix.size():
            return None
        if buffer.matrix.isView():
            buffer.lender = self.fed[layer]
        return buffer.array()

    def cost(self, str layer):
        return np.array(self.network.at(layer.encode()).cost())

    def write(self, str layer, str tensor, int index, array):
        """Copy an array into a parameter tensor: its shape checked, its memory order made the tensor's."""
        cdef Matrix* target = self.network.at(layer.encode()).overwrite(tensor.encode(), index)
        cdef cnp.ndarray ordered = np.asfortranarray(array) if target.isTrans() else np.ascontiguousarray(array)
        self.home.device.copyIn(target.data(), <float*> ordered.data, target.size())

    def set_normals(self, str layer, vector[double] normals):
        self.network.setNormals(layer.encode(), normals)

    def set_connections(self, str layer, int index, vector[int] channels):
        self.network.setConnections(layer.encode(), index, channels)

    def shape(self, str layer, str tensor, int index):
        """Shape of a parameter tensor that can be written, or None."""
        cdef const Matrix* found = self.network.at(layer.encode()).likeness(tensor.encode(), index)
        return None if found == NULL else (found.rows(), found.cols())

    def seconds(self, str layer, str step):
        return self.network.seconds(layer.encode(), step.encode())

    def set_quirk(self, str name, bint on):
        self.home.device.quirks.set(name.encode(), on)

    def launches(self):
        return launch_dicts(self.home.device)

    def clear_launches(self):
        self.home.device.log.clear()

    def log(self, size_t most):
        """Keep so many launch records from now on, the newest; 0: none."""
        self.home.device.logging = most


cdef LayerDict layer_dict(dict numbers, dict words):
    cdef LayerDict result
    for key, values in numbers.items():
        result.numbers[key.encode()] = <vector[double]> values
    for key, values in words.items():
        result.words[key.encode()] = <vector[string]> [value.encode() for value in values]
    return result
