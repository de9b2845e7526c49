import Support

/// Reads the pickle of a torch archive as what `torch.save` makes of a dictionary of tensors, and nothing else: no name is ever
/// looked up or called, a value that is no tensor has no contents here, and so nothing can nest or run.
struct TorchPickle {
    /// A tensor of the dictionary: elements `offset`..., contiguous, of the storage `key`.
    struct Tensor {
        var type: StorageType
        var key: String
        /// Elements of the whole storage.
        var storageCount: Int
        var offset: Int
        var shape: [Int]
    }

    /// The dictionary that the pickle ends with.
    static func tensors(_ bytes: [UInt8], file: String, origin: UInt64) throws(Diagnostic) -> [String: Tensor] {
        var machine = TorchPickle(bytes: bytes, file: file, origin: origin)
        while let value = try machine.step() {
            guard case .dictionary(let box) = value else {
                throw machine.fault("the pickle holds \(value.kind)", "a dictionary of tensors")
            }
            if let (name, kind) = box.other { throw machine.fault("key \(quoted(name)) holds \(kind)", "a tensor") }
            return box.tensors
        }
        throw machine.fault("the pickle ends without its last opcode", "'.'")
    }

    /// A dictionary grows after others refer to it.
    private final class Box {
        var tensors: [String: Tensor] = [:]
        /// A value that is no tensor.
        var other: (key: String, kind: String)?
    }

    private enum Function: String {
        case orderedDict = "collections.OrderedDict"
        case rebuildTensor = "torch._utils._rebuild_tensor_v2"
        case rebuildParameter = "torch._utils._rebuild_parameter"
        /// The two that parameters and tensors with attributes of Python have, which nothing here looks at.
        case rebuildParameterWithState = "torch._utils._rebuild_parameter_with_state"
        case rebuildFromType = "torch._tensor._rebuild_from_type_v2"
        /// Makes tensors of those element types that have no storage class.
        case rebuildWithType = "torch._utils._rebuild_tensor_v3"
        // What attributes may be.
        case size = "torch.Size"
        case device = "torch.device"
    }

    private enum Value {
        case mark
        case integer(Int)
        case string(String)
        case function(Function)
        /// `torch.Tensor` or `Parameter`
        case tensorClass
        /// Nil is storage of bytes, whose elements' type stands with the tensor.
        case storageClass(StorageType?)
        indirect case storage(StorageType?, key: String, count: Int)
        case elementType(StorageType)
        indirect case tensor(Tensor)
        case dictionary(Box)
        /// `depth` counts the levels of tuples in each other, this one included.
        case tuple([Value], depth: Int)
        /// None, a boolean, a float or a list: allowed, and never looked at.
        case opaque(String)

        var kind: String {
            switch self {
            case .mark: "a mark"
            case .integer: "an integer"
            case .string: "a string"
            case .function, .storageClass, .tensorClass: "a class"
            case .elementType: "an element type"
            case .storage: "a storage"
            case .tensor: "a tensor"
            case .dictionary: "a dictionary"
            case .tuple: "a tuple"
            case .opaque(let kind): kind
            }
        }
    }

    private static let storageClasses: [String: StorageType] = [
        "torch.FloatStorage": .weight(.float32), "torch.HalfStorage": .weight(.float16), "torch.BFloat16Storage": .weight(.bfloat16),
        "torch.DoubleStorage": .other(.float64),
        "torch.LongStorage": .other(.int64), "torch.IntStorage": .other(.int32), "torch.ShortStorage": .other(.int16),
        "torch.CharStorage": .other(.int8),
        "torch.ByteStorage": .other(.uint8), "torch.BoolStorage": .other(.bool),
    ]
    private static let elementTypes: [String: StorageType] = [
        "torch.float32": .weight(.float32), "torch.float16": .weight(.float16), "torch.bfloat16": .weight(.bfloat16),
        "torch.float64": .other(.float64), "torch.int64": .other(.int64),
        "torch.int32": .other(.int32), "torch.int16": .other(.int16), "torch.int8": .other(.int8), "torch.uint8": .other(.uint8),
        "torch.bool": .other(.bool),
        "torch.uint16": .other(.uint16),
        "torch.uint32": .other(.uint32), "torch.uint64": .other(.uint64), "torch.float8_e4m3fn": .other(.float8E4M3),
        "torch.float8_e5m2": .other(.float8E5M2),
        "torch.float8_e8m0fnu": .other(.float8E8M0),
    ]

    /// Values that a pickle may make and remember together: what they take does not depend on the bytes that they are written in. A tensor
    /// takes about fifty.
    static let maximumValues = 1 << 23

    private let bytes: [UInt8]
    private let file: String
    /// Where the pickle begins in the file, in bytes.
    private let origin: UInt64
    private var position = 0
    private var stack: [Value] = []
    private var memo: [Value] = []
    private var made = 0

    private init(bytes: [UInt8], file: String, origin: UInt64) { (self.bytes, self.file, self.origin) = (bytes, file, origin) }

    func fault(_ problem: String, _ expected: String) -> Diagnostic {
        .error(problem, at: .byte(file: file, offset: origin + UInt64(position)), expected: expected)
    }

    private mutating func count() throws(Diagnostic) {
        made += 1
        guard made <= Self.maximumValues else { throw fault("more than \(Self.maximumValues) values", "fewer") }
    }

    private mutating func push(_ value: Value) throws(Diagnostic) {
        try count()
        stack.append(value)
    }

    // MARK: Reading

    private mutating func number(_ count: Int) throws(Diagnostic) -> UInt64 {
        guard count <= bytes.count - position else { throw fault("the pickle ends inside an opcode", "more bytes") }
        defer { position += count }
        return bytes[position..<position + count].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    private mutating func text(_ count: UInt64) throws(Diagnostic) -> String {
        guard count <= UInt64(bytes.count - position) else {
            throw fault("a string of \(count) bytes", "at most \(bytes.count - position)")
        }
        defer { position += Int(count) }
        guard let text = String(validating: bytes[position..<position + Int(count)], as: UTF8.self) else {
            throw fault("a string is not UTF-8", "text")
        }
        guard hasFewMarks(text) else { throw fault("a letter with more than 64 marks", "text") }
        return text
    }

    private mutating func line() throws(Diagnostic) -> String {
        guard let end = bytes[position...].firstIndex(of: 0x0A) else { throw fault("the pickle ends inside a line", "a line feed") }
        let line = try text(UInt64(end - position))
        position = end + 1
        return line
    }

    private mutating func pop() throws(Diagnostic) -> Value {
        guard let value = stack.popLast() else { throw fault("an opcode takes a value from an empty stack", "a value") }
        return value
    }

    /// What stands above the last mark, which goes too.
    private mutating func popToMark() throws(Diagnostic) -> [Value] {
        guard let mark = stack.lastIndex(where: { if case .mark = $0 { true } else { false } }) else {
            throw fault("an opcode takes values above a mark", "a mark")
        }
        defer { stack.removeSubrange(mark...) }
        return Array(stack[(mark + 1)...])
    }

    // MARK: Opcodes

    /// Runs one opcode; gives the result at the last one, nil at the end of the bytes.
    private mutating func step() throws(Diagnostic) -> Value? {
        while position < bytes.count {
            let opcode = bytes[position]
            position += 1
            switch opcode {
            case 0x80:  // PROTO
                let version = try number(1)
                guard 2...5 ~= version else { throw fault("pickle protocol \(version)", "2 to 5") }
            case 0x95: _ = try number(8)  // FRAME
            case UInt8(ascii: "("): try push(.mark)
            case UInt8(ascii: "."): return try pop()
            case UInt8(ascii: "N"): try push(.opaque("None"))
            case 0x88, 0x89: try push(.opaque("a boolean"))
            case UInt8(ascii: "J"): try push(.integer(Int(Int32(truncatingIfNeeded: number(4)))))
            case UInt8(ascii: "K"): try push(.integer(Int(number(1))))
            case UInt8(ascii: "M"): try push(.integer(Int(number(2))))
            case 0x8A: try push(.integer(long()))
            case UInt8(ascii: "G"):
                _ = try number(8)
                try push(.opaque("a number"))
            case UInt8(ascii: "X"): try push(.string(text(number(4))))
            case 0x8C: try push(.string(text(number(1))))
            case UInt8(ascii: "]"): try push(.opaque("a list"))
            case UInt8(ascii: "}"): try push(.dictionary(Box()))
            case UInt8(ascii: ")"): try push(.tuple([], depth: 1))
            case UInt8(ascii: "t"): try pushTuple(popToMark())
            case 0x85, 0x86, 0x87:
                let count = Int(opcode) - 0x84
                guard stack.count >= count else { throw fault("a tuple of \(count) from \(stack.count) values", "as many") }
                let items = Array(stack.suffix(count))
                stack.removeLast(count)
                try pushTuple(items)
            case UInt8(ascii: "q"): try remember(number(1))
            case UInt8(ascii: "r"): try remember(number(4))
            case 0x94: try remember(UInt64(memo.count))  // MEMOIZE
            case UInt8(ascii: "h"): try recall(number(1))
            case UInt8(ascii: "j"): try recall(number(4))
            case UInt8(ascii: "c"):
                let module = try line()
                try pushGlobal(module, line())
            case 0x93:
                let name = try pop(), module = try pop()
                guard case .string(let name) = name, case .string(let module) = module else {
                    throw fault("a class without a name", "strings")
                }
                try pushGlobal(module, name)
            case UInt8(ascii: "Q"): try push(storage(pop()))
            case UInt8(ascii: "R"):
                let arguments = try pop(), function = try pop()
                try push(apply(function, arguments))
            case UInt8(ascii: "b"):  // BUILD: attributes, such as a state dictionary's versions
                _ = try pop()
                guard case .dictionary? = stack.last else {
                    throw fault("attributes of \(stack.last?.kind ?? "nothing")", "a dictionary's")
                }
            // The items leave the stack before the container on top of it is looked at.
            case UInt8(ascii: "a"):
                _ = try pop()
                try expectList()
            case UInt8(ascii: "e"):
                _ = try popToMark()
                try expectList()
            case UInt8(ascii: "s"):
                let value = try pop(), key = try pop()
                try set([key, value])
            case UInt8(ascii: "u"):
                let items = try popToMark()
                try set(items)
            default:
                position -= 1
                throw fault("pickle opcode \(opcode)", "tensors in dictionaries, as torch.save writes a state dictionary")
            }
        }
        return nil
    }

    private mutating func long() throws(Diagnostic) -> Int {
        let count = Int(try number(1))
        guard count <= 8 else { throw fault("an integer of \(count) bytes", "at most 8") }
        let value = try number(count)
        let unused = UInt64(64 - 8 * count)
        return count == 0 ? 0 : Int(Int64(bitPattern: value << unused) >> Int64(unused))
    }

    private mutating func pushTuple(_ items: [Value]) throws(Diagnostic) {
        var depth = 1
        for item in items {
            if case .tuple(_, let inner) = item { depth = max(depth, inner + 1) }
            if case .mark = item { throw fault("a mark inside a tuple", "values") }
        }
        guard depth <= 4 else { throw fault("tuples nested \(depth) deep", "tensors in dictionaries") }
        try push(.tuple(items, depth: depth))
    }

    /// Python's picklers number what they remember from 0 on.
    private mutating func remember(_ index: UInt64) throws(Diagnostic) {
        guard let value = stack.last else { throw fault("an opcode remembers the top of an empty stack", "a value") }
        guard index <= memo.count else { throw fault("a value is remembered under \(index)", "at most \(memo.count), the next number") }
        try count()
        if index < memo.count { memo[Int(index)] = value } else { memo.append(value) }
    }

    private mutating func recall(_ index: UInt64) throws(Diagnostic) {
        guard index < memo.count, case let value = memo[Int(index)] else {
            throw fault("nothing was remembered under \(index)", "an earlier number")
        }
        try push(value)
    }

    private mutating func pushGlobal(_ module: String, _ name: String) throws(Diagnostic) {
        let full = "\(module).\(name)"
        if let function = Function(rawValue: full) {
            try push(.function(function))
        } else if let type = Self.storageClasses[full] {
            try push(.storageClass(type))
        } else if let type = Self.elementTypes[full] {
            try push(.elementType(type))
        } else if full == "torch.storage.UntypedStorage" {
            try push(.storageClass(nil))
        } else if full == "torch.Tensor" || full == "torch.nn.parameter.Parameter" {
            try push(.tensorClass)
        } else {
            throw fault("the pickle names \(quoted(full))", "tensors in dictionaries only")
        }
    }

    /// `('storage', class, key, device, elements)`
    private func storage(_ identifier: Value) throws(Diagnostic) -> Value {
        guard case .tuple(let parts, _) = identifier, parts.count == 5, case .string("storage") = parts[0],
            case .storageClass(let type) = parts[1],
            case .string(let key) = parts[2], case .string = parts[3], case .integer(let count) = parts[4], count >= 0
        else { throw fault("a persistent id that is no storage", "('storage', class, key, device, elements)") }
        return .storage(type, key: key, count: count)
    }

    private func apply(_ function: Value, _ arguments: Value) throws(Diagnostic) -> Value {
        guard case .function(let function) = function, case .tuple(let arguments, _) = arguments else {
            throw fault("a call of \(function.kind) with \(arguments.kind)", "what rebuilds a tensor")
        }
        switch function {
        case .orderedDict:
            guard arguments.isEmpty else { throw fault("an OrderedDict with arguments", "none") }
            return .dictionary(Box())
        case .size, .device: return .opaque("a size or device")
        case .rebuildParameter, .rebuildParameterWithState:
            guard case .tensor? = arguments.first else { throw fault("a parameter of \(arguments.first?.kind ?? "nothing")", "a tensor") }
            return arguments[0]
        case .rebuildFromType:
            // The attributes come last; the class says no more than that this is a tensor.
            guard arguments.count == 4, case .function(let inner) = arguments[0], inner != .rebuildFromType,
                case .tensorClass = arguments[1],
                case let value = try apply(arguments[0], arguments[2]), case .tensor = value
            else { throw fault("a tensor of other parts", "a function, a class, arguments and attributes") }
            return value
        case .rebuildTensor:
            guard arguments.count >= 4, case .storage(let type?, let key, let count) = arguments[0] else { throw otherParts }
            return try tensor(type, key, count, arguments)
        case .rebuildWithType:
            guard arguments.count >= 7, case .storage(nil, let key, let bytes) = arguments[0], case .elementType(let type) = arguments[6],
                let size = type.size, bytes % size == 0
            else { throw otherParts }
            return try tensor(type, key, bytes / size, arguments)
        }
    }

    private var otherParts: Diagnostic { fault("a tensor of other parts", "storage, offset, sizes and strides") }

    /// `(storage, offset, sizes, strides, ...)` over a storage of `count` elements.
    private func tensor(_ type: StorageType, _ key: String, _ count: Int, _ arguments: [Value]) throws(Diagnostic) -> Value {
        guard case .integer(let offset) = arguments[1], let shape = integers(arguments[2]), let strides = integers(arguments[3]),
            shape.count == strides.count
        else { throw otherParts }
        guard shape.count <= SafetensorsFile.maximumRank, shape.allSatisfy({ $0 >= 0 }), let elements = checkedProduct(shape) else {
            throw fault("impossible shape \(shape.prefix(20))", "sizes whose product is a 64-bit count")
        }
        var stride = 1
        for (size, given) in zip(shape, strides).reversed() where elements > 0 {
            guard size == 1 || given == stride else {
                throw fault("a tensor \(shape) with strides \(strides)", "contiguous elements")
            }
            stride *= size
        }
        guard offset >= 0, offset <= count, elements <= count - offset else {
            throw fault("\(elements) elements from \(offset) of a storage of \(count)", "elements inside the storage")
        }
        return .tensor(Tensor(type: type, key: key, storageCount: count, offset: offset, shape: shape))
    }

    private func integers(_ value: Value) -> [Int]? {
        guard case .tuple(let items, _) = value else { return nil }
        var integers: [Int] = []
        for item in items {
            guard case .integer(let number) = item else { return nil }
            integers.append(number)
        }
        return integers
    }

    private func expectList() throws(Diagnostic) {
        guard case .opaque("a list")? = stack.last else { throw fault("items for \(stack.last?.kind ?? "nothing")", "a list") }
    }

    /// Keys and values by turns into the dictionary on top.
    private func set(_ items: [Value]) throws(Diagnostic) {
        guard case .dictionary(let box)? = stack.last else { throw fault("keys for \(stack.last?.kind ?? "nothing")", "a dictionary") }
        guard items.count % 2 == 0 else { throw fault("\(items.count) keys and values", "an even number") }
        for index in Swift.stride(from: 0, to: items.count, by: 2) {
            var name: String
            switch items[index] {
            case .string(let text): name = text
            case .integer(let number): name = String(number)
            default: throw fault("a key that is \(items[index].kind)", "a string")
            }
            guard case .tensor(let tensor) = items[index + 1] else {
                box.other = box.other ?? (name, items[index + 1].kind)
                continue
            }
            if box.tensors.updateValue(tensor, forKey: name) != nil { throw fault("key \(quoted(name)) stands twice", "distinct keys") }
        }
    }
}
