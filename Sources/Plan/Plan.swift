import IR

/// Everything that the emitted program needs to know, decided: the order of the steps, the place of every buffer, the layers that
/// share one function. CEmit prints it.
public struct Plan: Sendable {
    public var moduleName: String
    /// Most rows that one call of `step` takes: the bound of T.
    public var chunk: Int
    /// Most rows of one call whose logits are wanted: the bound of S.
    public var wantedRows: Int
    /// In the order of their offsets.
    public var weights: [PlacedWeight]
    /// Bytes of all weights together, a multiple of 64.
    public var weightBytes: Int
    public var counts: Counts
    /// Where in `kept` the rows stand that each block runs on, -1 where no row has left before it; nil where `step` cuts no caches.
    public var blockPoints: [Int]?
    /// `step` looks for rows of a prompt with an image that it may drop, and needs all of them in one call.
    public var takesWholePrompts: Bool
    /// The arena, in the order of the offsets: the lengths of the caches, inputs and results of the entry points, the scratch region, and last
    /// the caches of the first slot, which those of the others follow.
    public var regions: [Region]
    public var slots: SlotLayout
    public var arenaBytes: Int
    /// Bytes of the scratch region: the peak of all timelines.
    public var activationBytes: Int
    /// Scratch bytes of each timeline, in call order: image (`vision` and `project`), step, decode.
    public var timelines: [Timeline]
    /// Offsets of the weights and states of each layer of a repeated group.
    public var tables: [LayerTable]
    /// One per repeated group.
    public var layers: [LayerFunction]
    /// Those that the module has, in the order vision, project, step, decode.
    public var entries: [EntryFunction]
    /// Columns of the decoder's residual stream; 0 without a decoder.
    public var hidden: Int
    /// Columns of the logits; 0 without a decoder.
    public var vocabulary: Int

    /// The symbols that operations count: a call leaves their numbers in the arena, i32 each.
    public struct Counts: Hashable, Sendable {
        public var symbols: [String]
        public var offset: Int
        /// The rows that an image becomes, where they are counted; the number stands behind those of the symbols.
        public var projected: Affine?

        public func offset(of symbol: String) -> Int? { symbols.firstIndex(of: symbol).map { offset + 4 * $0 } }
        public var projectedOffset: Int? { projected.map { _ in offset + 4 * symbols.count } }
    }

    /// The names of all symbols, those of a call first.
    public var symbolNames: [String] { EntryPoint.Count.allCases.map(\.rawValue) + counts.symbols }

    /// Whether some product's weight is f32.
    public var hasFloat32Products: Bool {
        (entries.map(\.body) + layers.map(\.body)).contains { body in
            body.steps.contains { step in
                if case .run(let kernel, _, _, _) = step, case .matmul(_, .float32) = kernel.routine { true } else { false }
            }
        }
    }

    /// Where the caches of the first slot, and the lengths of all, begin; nil without a cache.
    public var cacheOffsets: (slots: Int, lengths: Int)? {
        func offset(_ name: String?) -> Int? { regions.first { $0.role == .state && $0.name == name }?.offset }
        guard let slots = offset(slots.caches.first?.name), let lengths = offset(self.slots.lengths.first) else { return nil }
        return (slots, lengths)
    }

    public func region(_ region: EntryPoint.Region) -> Region? { regions.first { $0.role == .entry(region) } }
}

/// A stored weight, row-major f32 or panels, at a multiple of 64 bytes from the start of the attached weights.
public struct PlacedWeight: Hashable, Sendable {
    public var name: String
    public var type: TensorType
    public var offset: Int
    public var byteCount: Int
}

/// A part of the arena at a constant offset (bytes; a multiple of 64, but for the lengths of the caches, which lie side by side).
public struct Region: Hashable, Sendable {
    public enum Role: Hashable, Sendable {
        /// A cache, as far as the first slot has it, or the lengths of a block's caches
        case state
        /// The numbers of the symbols that operations count
        case counts
        /// An input or a result of entry points
        case entry(EntryPoint.Region)
        case scratch
    }

    public var name: String
    public var role: Role
    /// nil for the scratch region.
    public var type: TensorType?
    public var offset: Int
    public var byteCount: Int
}

/// Entry points that run one after another on the same values, and the scratch bytes that they take.
public struct Timeline: Hashable, Sendable {
    /// image, step or decode
    public var name: String
    public var entries: [EntryPoint]
    public var byteCount: Int
}

/// One row per layer of the byte offsets that differ from layer to layer.
public struct LayerTable: Hashable, Sendable {
    public struct Field: Hashable, Sendable {
        public enum Kind: Hashable, Sendable { case weight, state }
        /// The weight's or state's name without the layer's prefix.
        public var name: String
        public var kind: Kind
        public var type: TensorType
    }

    /// `decoder.layer` for `decoder.layer0`, `decoder.layer1`, ...
    public var name: String
    public var fields: [Field]
    /// The layers' prefixes, one per row.
    public var layers: [String]
    /// For each layer an offset per field, into the attached weights or into the arena as the field's kind says.
    public var rows: [[Int]]
}

/// The body that all layers of a repeated group share.
public struct LayerFunction: Sendable {
    /// `step.decoder.layer`
    public var name: String
    /// Index into `Plan.tables`; nil when no weight or state differs.
    public var table: Int?
    /// Buffers that a caller passes, inputs first; indices into `body.buffers`.
    public var arguments: [Int]
    public var resultCount: Int
    public var body: Body
}

/// What a program runs when an entry point is called.
public struct EntryFunction: Sendable {
    public var entry: EntryPoint
    public var body: Body
}

public struct Body: Sendable {
    /// In the order of their first use; a buffer inside another comes after it.
    public var buffers: [Buffer]
    public var steps: [Step]
}

extension Body {
    /// Whether the buffers mention a symbol.
    public func uses(_ symbol: String) -> Bool {
        buffers.contains { buffer in
            if case .inside(_, let offset) = buffer.place, offset.symbols.contains(where: { $0.name == symbol }) { return true }
            return buffer.type.symbols.contains { $0.name == symbol }
        }
    }

    /// The symbols that its steps count.
    public var counted: [String] {
        steps.compactMap { step in
            if case .run(let kernel, _, _, _) = step, case .call(_, _, let count) = kernel.routine { count } else { nil }
        }
    }
}

/// A named tensor of a body. Strides count elements; the last is 1 except in the source of a copy.
public struct Buffer: Hashable, Sendable {
    public enum Place: Hashable, Sendable {
        /// At a byte offset of the arena.
        case arena(Int)
        /// The stored weight of this name.
        case weight(String)
        /// Column of the layer table.
        case field(Int)
        /// Passed by the caller.
        case argument
        /// Inside another buffer of the body, from this element on.
        case inside(Int, offset: Affine)
    }

    public var name: String
    public var type: TensorType
    public var strides: [Int]
    public var place: Place
    /// False where some step of the body, or of a layer that it calls, writes it.
    public var isConstant: Bool
}

public enum Step: Sendable {
    case run(Kernel, name: String, inputs: [Int], output: Int)
    /// One call of a layer function for the given row of its table.
    case call(layer: Int, row: Int, name: String, arguments: [Int])
}
