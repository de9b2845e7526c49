import IR
import Support

/// How the caches lie in the arena: those of a slot one after another, and the slots one after another. So a slot is one stretch of memory,
/// which costs nothing until it is used and is given back as a whole.
public struct SlotLayout: Hashable, Sendable {
    public struct Cache: Hashable, Sendable {
        public var name: String
        /// Bytes from the slot's start
        public var offset: Int
        /// From one row to the next
        public var rowBytes: Int
        /// Index into `lengths`
        public var block: Int
    }

    /// Sequences that a program can hold at once
    public private(set) var count = 1
    public private(set) var caches: [Cache] = []
    /// Rows of a cache in a slot
    public private(set) var context = 0
    /// The states that say how many rows the caches of each block hold, in the order of blocks
    public private(set) var lengths: [String] = []
    /// From slot to slot, in whole pages
    public private(set) var byteCount = 0

    /// Slots of this size and more begin with huge pages.
    public static let hugePage = 2 << 20
    static let page = 4096

    /// Bytes of which the first slot's place is a multiple.
    public var alignment: Int { byteCount < Self.hugePage ? Self.page : Self.hugePage }

    public init(_ module: Module) throws(Diagnostic) {
        let blocks = try CacheUses(module).blocks
        var end = 0
        for (name, type) in module.states {
            guard let shape = type.fixedShape else { continue }
            if type.rank == 1 {
                guard blocks.values.contains(name) else {
                    throw .error("no cache has rows at the places that '&\(name)' counts", at: .operation("&\(name)"))
                }
                continue
            }
            guard let block = blocks[name] else {
                throw .error("no 'cache_store' fills the cache '&\(name)'", at: .operation("&\(name)"))
            }
            guard caches.isEmpty || shape[0] == count && shape[1] == context else {
                throw .error(
                    "the cache '&\(name)' is \(type)", at: .operation("&\(name)"), expected: "\(count) slots of \(context) rows, as before")
            }
            (count, context) = (shape[0], shape[1])
            let index = lengths.firstIndex(of: block) ?? lengths.count
            if index == lengths.count { lengths.append(block) }
            guard module.states[block] == TensorType(.int32, fixed: [count]) else {
                throw .error("the lengths '&\(block)' do not count \(count) slots", at: .operation("&\(block)"), expected: "i32[\(count)]")
            }
            guard let bytes = type.rowBytes, let all = checkedProduct(bytes, context), let padded = roundedUp(all, to: 64),
                let next = checkedSum([end, padded])
            else { throw .error("the caches pass 2^63 bytes") }
            caches.append(Cache(name: name, offset: end, rowBytes: bytes, block: index))
            end = next
        }
        guard let whole = roundedUp(end, to: end < Self.hugePage ? Self.page : Self.hugePage), checkedProduct(whole, count) != nil else {
            throw .error("the caches pass 2^63 bytes")
        }
        byteCount = whole
    }

    /// Keys and values of the whole context in one slot, in bytes.
    public var cacheBytes: Int { caches.reduce(0) { $0 + $1.rowBytes * context } }

    /// Elements from slot to slot and from row to row of a cache (bytes, where its rows are blocks); nil of another state.
    func strides(of state: String, _ type: TensorType) -> [Int]? {
        guard let cache = caches.first(where: { $0.name == state }) else { return nil }
        return [byteCount / type.dtype.byteCount, cache.rowBytes / type.dtype.byteCount, 1]
    }
}

extension TensorType {
    /// Bytes of a row of a cache.
    fileprivate var rowBytes: Int? {
        guard let shape = fixedShape, shape.count >= 3 else { return nil }
        if dtype == .int8Heads { return BlockFormat.int8HeadBytes(heads: shape[2], size: shape[3]) }
        return checkedProduct(shape[2], dtype.byteCount)
    }
}

/// What the functions of a module do with its caches, checked: emitted code trusts the lists of slots and places.
private struct CacheUses {
    /// For each cache the lengths by which its rows get their places.
    private(set) var blocks: [String: String] = [:]

    init(_ module: Module) throws(Diagnostic) {
        let functions = try module.functions.map { function throws(Diagnostic) in (function, try reserves(function)) }
        // Stores stand before the attentions that see their rows, in one function or another.
        for (function, reserves) in functions { try addStores(function, reserves) }
        for (function, reserves) in functions { try checkAttentions(function, reserves) }
        for (function, _) in functions { try checkCuts(function) }
    }

    /// The lengths and the slots of each `reserve` by its result, and by that of what takes rows of one; `slots` are the values that are these.
    private typealias Reserves = [Operand: (lengths: String, slots: [Operand])]

    private func wrong(_ what: String, _ function: Function, _ operation: Operation, expected: String? = nil) -> Diagnostic {
        .error(what, at: .operation("\(function.name): %\(operation.name)"), expected: expected)
    }

    /// The lists that a call gives as slots, and rows of them.
    private func slotLists(_ function: Function) -> Set<Operand> {
        guard function.name == EntryPoint.step.rawValue, function.parameters.count > 1 else { return [] }
        var lists: Set<Operand> = [.value(function.parameters[1].name)]
        for operation in function.operations {
            if case .gatherRows = operation.op, lists.contains(operation.operands[0]) { lists.insert(.value(operation.name)) }
        }
        return lists
    }

    /// The values that are the rows of `list` of a value.
    private func rows(_ function: Function, of value: Operand, _ list: Operand) -> [Operand] {
        function.operations.filter { operation in
            if case .gatherRows = operation.op { operation.operands == [value, list] } else { false }
        }.map { .value($0.name) }
    }

    private func reserves(_ function: Function) throws(Diagnostic) -> Reserves {
        let lists = slotLists(function)
        var reserves: Reserves = [:]
        for operation in function.operations {
            if case .gatherRows = operation.op, let reserve = reserves[operation.operands[0]] {
                // Some of the rows, with the slots that a list of the same rows says.
                let slots = reserve.slots.flatMap { rows(function, of: $0, operation.operands[1]) }
                reserves[.value(operation.name)] = (reserve.lengths, slots)
            }
            guard case .reserve = operation.op else { continue }
            guard lists.contains(operation.operands[1]) else {
                throw wrong("'reserve' takes '\(operation.operands[1])' for slots", function, operation, expected: "the slots of 'step'")
            }
            let lengths = operation.operands[0].name
            guard !reserves.values.contains(where: { $0.lengths == lengths }) else {
                throw wrong("'&\(lengths)' is reserved a second time", function, operation, expected: "lengths of its own for each block")
            }
            reserves[.value(operation.name)] = (lengths, [operation.operands[1]])
        }
        return reserves
    }

    private mutating func addStores(_ function: Function, _ reserves: Reserves) throws(Diagnostic) {
        for operation in function.operations {
            guard case .cacheStore = operation.op else { continue }
            let cache = operation.operands[0].name
            guard let reserve = reserves[operation.operands[3]], reserve.slots.contains(operation.operands[2]),
                blocks[cache] ?? reserve.lengths == reserve.lengths
            else {
                throw wrong("the slots and places of '&\(cache)' are not those of one 'reserve'", function, operation)
            }
            blocks[cache] = reserve.lengths
        }
    }

    private func checkAttentions(_ function: Function, _ reserves: Reserves) throws(Diagnostic) {
        for operation in function.operations {
            guard case .attention(let attention) = operation.op, attention.isCached else { continue }
            guard let reserve = reserves[operation.operands[4]], reserve.slots.contains(operation.operands[3]),
                operation.operands[1...2].allSatisfy({ blocks[$0.name] == reserve.lengths })
            else {
                throw wrong("'attention' sees caches at slots and places that are not those of their 'reserve'", function, operation)
            }
        }
    }

    /// Where rows leave the caches of a block, they are rows of the call that its `reserve` gave places, all its caches keep the same, and then its
    /// lengths give back the rest.
    private func checkCuts(_ function: Function) throws(Diagnostic) {
        var cuts: [String: (lists: [Operand], caches: Set<String>)] = [:]
        for operation in function.operations where operation.op.payload.cutsCaches {
            let states = operation.op.payload.stateOperands.count
            let (lengths, lists) = (operation.operands[states - 1].name, Array(operation.operands[states...]))
            let reserved = function.operations.contains { reserve in
                if case .reserve = reserve.op { reserve.operands == [.state(lengths), lists[0]] } else { false }
            }
            guard reserved else {
                throw wrong(
                    "'\(operation.op.mnemonic)' takes '\(lists[0])' for slots", function, operation,
                    expected: "those of a 'reserve' before it")
            }
            var cut = cuts[lengths] ?? (lists, [])
            guard cut.lists == lists else { throw wrong("'&\(lengths)' keeps other rows than before", function, operation) }
            if case .cacheKeep = operation.op {
                let cache = operation.operands[0].name
                guard blocks[cache] == lengths, cut.caches.insert(cache).inserted else {
                    throw wrong("'&\(lengths)' does not count the rows of '&\(cache)', or they have moved", function, operation)
                }
            } else if let left = blocks.filter({ $0.value == lengths && !cut.caches.contains($0.key) }).keys.min() {
                throw wrong(
                    "'&\(lengths)' gives back rows that '&\(left)' holds", function, operation, expected: "a 'cache_keep' of it before")
            } else {
                // Nothing may keep rows of these any more.
                cut.lists = []
            }
            cuts[lengths] = cut
        }
    }
}
