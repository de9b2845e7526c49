/// `patch_attention %q, %k, %v, rows %rows, slots %slots, text_keys %tk, text_values %tv, text_rows %tr, text_slots %ts
/// {mask = [1, 0, ...], kv_heads = g, scale = s, window = w, side = n}` : f32[W, h*d], f32[W, g*d] twice, i32[W] twice, f32[X, g*d] twice,
/// i32[X] twice -> f32[W, h*d]
///
/// What the vision rows of a call of `step` attend to: softmax(scale * q . k) . v for each head whose mask is 1, and 0 for the others;
/// query head i reads key head i / (h/g). Rows W and X stand at the places `rows` and `text_rows` of the call; those of one slot stand
/// together. Vision row i of a slot is patch i of an n x n grid, row by row; after n * n of them the next grid begins. It sees the rows of
/// text of its slot in front of it, and the patches of its grid whose row and column are at most (w - 1)/2 from its own, earlier and later
/// ones. C meaning: in float32, threads share the patches.
public struct PatchAttention: OperationPayload {
    public static let mnemonic = "patch_attention"
    /// Programs have room for as many.
    public static let mostHeads = 256
    public let mask: [Bool]
    public let keyValueHeads: Int
    public let scale: Float
    /// Patches along an edge, an odd number
    public let window: Int
    /// Patches along an edge of the grid
    public let side: Int

    public init(mask: [Bool], keyValueHeads: Int, scale: Float, window: Int, side: Int) {
        self.mask = mask
        self.keyValueHeads = keyValueHeads
        self.scale = scale
        self.window = window
        self.side = side
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(
            mask: try reader.mask("mask"), keyValueHeads: try reader.integer("kv_heads"), scale: try reader.float("scale"),
            window: try reader.integer("window"), side: try reader.integer("side"))
    }

    public var attributes: [(name: String, value: Attribute)] {
        [
            ("mask", .mask(mask)), ("kv_heads", .integer(keyValueHeads)), ("scale", .float(scale)),
            ("window", .integer(window)), ("side", .integer(side)),
        ]
    }

    public func operandLabels(count: Int) -> [String?] {
        [nil, nil, nil, "rows", "slots", "text_keys", "text_values", "text_rows", "text_slots"]
    }

    public var isProduct: Bool { true }
    public var queryScale: Float? { scale }
    public func scalingQuery(by scale: Float) -> Op? {
        .patchAttention(PatchAttention(mask: mask, keyValueHeads: keyValueHeads, scale: scale, window: window, side: side))
    }

    public var callArguments: [Attribute]? {
        [
            .mask(mask), .integer(mask.count), .integer(keyValueHeads), .float(scale), .integer(window),
            .integer(side),
        ]
    }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 9...9)
        for (index, what) in [(0, "the query"), (1, "the key"), (5, "the key of text")] {
            try expectRank(operands[index], 2, what)
            try expectFloat(operands[index], what)
        }
        let width = try expectFixed(operands[0].shape[1], "the query's width")
        guard keyValueHeads > 0, 1...Self.mostHeads ~= mask.count, mask.count % keyValueHeads == 0, width % mask.count == 0 else {
            throw TypeError(
                "a query of width \(width) has no \(mask.count) heads, at most \(Self.mostHeads), "
                    + "that share \(keyValueHeads) key heads evenly"
            )
        }
        guard window > 0, window % 2 == 1, side > 0 else {
            throw TypeError("a window of \(window) patches in a grid of \(side); expected an odd number and 1 or more")
        }
        let keys = Dimension.fixed(width / mask.count * keyValueHeads)
        try expectType(operands[1], TensorType(.float32, [operands[0].shape[0], keys]), "the key")
        try expectType(operands[2], operands[1], "the value")
        try expectType(operands[5], TensorType(.float32, [operands[5].shape[0], keys]), "the key of text")
        try expectType(operands[6], operands[5], "the value of text")
        for (first, matrix) in [(3, 0), (7, 5)] {
            try expectRows(operands[first], operands[matrix], "the list of rows")
            try expectRows(operands[first + 1], operands[matrix], "the list of slots")
        }
        return operands[0]
    }
}
