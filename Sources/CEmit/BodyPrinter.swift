import IR
import Plan

/// Prints the buffers and steps of a body as statements.
struct BodyPrinter {
    private let plan: Plan
    private let symbols: Symbols
    private let body: Body
    private let table: Int?
    private let yields: Bool
    private var names: [String] = []
    /// Buffers that have a line, and the symbols that a step further down counts
    private var declared: Set<Int> = []
    private var uncounted: Set<String>
    /// The statements so far
    private(set) var lines: [String] = []

    /// `table`: the index of the layer table that the fields of the body are columns of. `yields`: whether other work may come behind each layer.
    init(_ plan: Plan, _ symbols: Symbols, _ body: Body, table: Int? = nil, yields: Bool = false) {
        self.yields = yields
        self.plan = plan
        self.symbols = symbols
        self.body = body
        self.table = table
        uncounted = Set(body.counted)
        var scope = NameScope(reserved: symbols.names.union(plan.counts.symbols).union(["row"]))
        for buffer in body.buffers {
            switch buffer.place {
            // A weight has no variable: its shape stands beside its offset.
            case .weight(let name): names.append("\(Self.accessor(buffer.type))(memory, \(symbols.weight(name)))")
            case .field(let column) where plan.tables[table ?? 0].fields[column].kind == .weight:
                names.append("\(Self.accessor(buffer.type))(memory, layer->\(symbols.fields[table ?? 0][column]))")
            case .arena, .field, .argument, .inside: names.append(scope.unique(buffer.name))
            }
        }
    }

    func name(_ buffer: Int) -> String { names[buffer] }

    /// `const float *input`
    func parameter(_ buffer: Int) -> String { declarator(body.buffers[buffer], names[buffer], isLocal: false) }

    private static func accessor(_ type: TensorType) -> String { type.dtype.isPanels ? "lmmc_packed_weight" : "lmmc_weight" }

    static func cType(_ type: DType) -> String {
        switch type {
        case .float32: "float"
        case .int32: "int32_t"
        case .uint8, .int8Rows, .int8Heads, .bfloat16Panels, .int8Panels, .int4Panels: "uint8_t"
        case .float16, .bfloat16: "uint16_t"
        }
    }

    private func declarator(_ buffer: Buffer, _ name: String, isLocal: Bool) -> String {
        "\(buffer.isConstant ? "const " : "")\(Self.cType(buffer.type.dtype)) *\(isLocal ? "const " : "")\(name)"
    }

    /// `f32 [T, 4096]`, and the row stride where rows do not follow each other.
    static func shapeText(_ buffer: Buffer) -> String {
        let shape = "\(buffer.type.dtype.rawValue) [\(buffer.type.shape.map(\.description).joined(separator: ", "))]"
        if buffer.strides == [1] { return shape }
        guard let layout = buffer.rowLayout else { return "\(shape), strides \(buffer.strides.map(String.init).joined(separator: ", "))" }
        return layout.isContiguous ? shape : "\(shape), rows \(layout.stride) apart"
    }

    // MARK: - buffers

    /// Declares buffers; those that begin behind rows which a step of the body counts stand behind that step. `late`: those that can be by now.
    mutating func printBuffers(late: Bool = false) {
        var declarations: [(text: String, note: String)] = []
        for (index, buffer) in body.buffers.enumerated() where !declared.contains(index) {
            guard !waits(index) else { continue }
            declared.insert(index)
            let value: String
            var note = Self.shapeText(buffer)
            switch buffer.place {
            case .argument, .weight: continue
            case .arena(let offset): value = "lmmc_arena(memory, \(symbols.arena(offset)))"
            case .field(let column):
                if plan.tables[table ?? 0].fields[column].kind == .weight { continue }
                value = "lmmc_arena(memory, layer->\(symbols.fields[table ?? 0][column]))"
            case .inside(let parent, let offset):
                var sum = names[parent]
                if offset != 0 { sum += " + \(count(offset))" }
                if sum == names[parent] && buffer.type == body.buffers[parent].type { note += ", in place" }
                value = sum
            }
            declarations.append(("  \(declarator(buffer, names[index], isLocal: true)) = \(value);", note))
        }
        let width = min(declarations.map(\.text.count).max() ?? 0, 84)
        for (text, note) in declarations {
            lines.append(text + String(repeating: " ", count: max(width - text.count, 0) + 2) + "// " + note)
        }
        if !declarations.isEmpty, !late { lines.append("") }
    }

    private func waits(_ buffer: Int) -> Bool {
        guard case .inside(let parent, let offset) = body.buffers[buffer].place else { return false }
        return offset.symbols.contains { uncounted.contains($0.name) } || waits(parent)
    }

    // MARK: - steps

    mutating func printSteps() {
        var index = 0
        while index < body.steps.count {
            switch body.steps[index] {
            case .run(let kernel, let name, let inputs, let output):
                print(kernel, name, inputs, output)
                index += 1
            case .call(let layer, let row, let name, let arguments):
                // Consecutive layers that update the same buffers are one loop.
                var last = row
                var next = index + 1
                while next < body.steps.count, case .call(layer, last + 1, _, arguments) = body.steps[next] {
                    last += 1
                    next += 1
                }
                print(call: layer, rows: row...last, name: name, arguments)
                index = next
            }
        }
    }

    private mutating func print(call layer: Int, rows: ClosedRange<Int>, name: String, _ arguments: [Int]) {
        let function = plan.layers[layer]
        var list = ["memory"]
        list += plan.symbolNames.filter(function.body.uses)
        if let table = function.table { list.append("&\(symbols.tables[table])[\(rows.count == 1 ? "\(rows.lowerBound)" : "i")]") }
        list += arguments.map { names[$0] }
        let call = "\(symbols.layers[layer])(\(list.joined(separator: ", ")));"
        let loop = "  for (int i = \(rows.lowerBound); i <= \(rows.upperBound); i++)"
        switch (rows.count == 1, yields) {
        case (true, false): lines += wrapped(call, indent: 2)
        case (true, true): lines += wrapped(call, indent: 2) + ["  lmmc_yield(memory);"]
        case (false, false): lines += [loop] + wrapped(call, indent: 4)
        case (false, true): lines += [loop + " {"] + wrapped(call, indent: 4) + ["    lmmc_yield(memory);", "  }"]
        }
    }

    static func count(_ number: Affine) -> String { number.text { factor, symbol in "\(symbol) * \(factor)" } }
    private func count(_ number: Affine) -> String { Self.count(number) }

    private func layout(_ buffer: Int) -> RowLayout {
        guard let layout = body.buffers[buffer].rowLayout else { preconditionFailure("the plan gives kernels rows") }
        return layout
    }

    private mutating func print(_ kernel: Kernel, _ name: String, _ inputs: [Int], _ output: Int) {
        if !names[output].hasPrefix(identifier(name)) { lines.append("  // \(comment(name))") }
        let loop = kernel.loop
        switch kernel.routine {
        case .normalizeRow(let normalize): printNormalize(normalize, loop, inputs[0], output)
        case .extractPatch(let extract):
            let shape = body.buffers[inputs[0]].type.shape
            call(
                "lmmc_extract_patch", loop,
                ["\(shape[0])", "\(shape[1])", "\(shape[2])"] + patch(extract, loop) + [names[inputs[0]], row(output, in: loop)])
        case .centerPatch(let extract, let center):
            let shape = body.buffers[inputs[0]].type.shape
            let values = "(const float[]){\(center.map(literal).joined(separator: ", "))}"
            call(
                "lmmc_center_patch", loop,
                ["\(shape[1])", "\(shape[2])"] + patch(extract, loop) + [values, names[inputs[0]], row(output, in: loop)])
        case .gatherWindow(let windows): printWindows("lmmc_gather_window", windows, loop, inputs[0], output)
        case .averageWindow(let average):
            let name = average.margin == 0 ? "lmmc_average_window" : "lmmc_average_inner_window"
            printWindows(name, average.windows, margin: average.margin, loop, inputs[0], output)
        case .attendWindow(let attention): printWindowAttention(attention, loop, inputs, output)
        case .embedRow(let format, let hasVisionRows):
            let table = body.buffers[inputs[1]].type
            call(
                "lmmc_embed_row\(format == .float32 ? "" : format.suffix)", loop,
                (format == .float32 ? [] : ["\(table.shape[0])"])
                    + [
                        "\(layout(output).columns)", "\(names[inputs[0]])[\(index(loop))]", names[inputs[1]],
                        hasVisionRows ? names[inputs[2]] : "NULL", row(output, in: loop),
                    ])
        case .matmul(let matmul, let format): printMatmul(matmul, format, inputs, output)
        case .attention(let attention, let type): printAttention(attention, type, inputs, output)
        case .row(let function, let rounded): printRows(function, rounded, loop, inputs, output)
        case .quantizeRow(let type):
            call(
                "lmmc_quantize_row\(type.suffix)", loop,
                ["\(layout(inputs[0]).columns)", row(inputs[0], in: loop), row(output, in: loop)])
        case .rotaryAngles(let frequencies):
            call(
                "lmmc_rotary_angles", loop,
                [
                    "\(frequencies.count)", symbols.frequencies(frequencies), "\(names[inputs[0]])[\(index(loop))]", row(output, in: loop),
                ])
        case .rotateRow(let headSize):
            call(
                "lmmc_rotary_row", loop,
                ["\(layout(output).columns / headSize)", "\(headSize / 2)"]
                    + [inputs[1], inputs[0], output].map { row($0, in: loop) })
        case .storeRow(let type, let heads): printStore(type, heads: heads, loop, inputs, output)
        case .gatherRow:
            let from = layout(inputs[0]), type = body.buffers[inputs[0]].type.dtype, size = type.byteCount
            call(
                "lmmc_gather_row", loop,
                [
                    "\(rowBytes(type, columns: from.columns))", names[inputs[0]], "\(from.stride * size)",
                    "\(names[inputs[1]])[\(index(loop))]", row(output, in: loop),
                ])
        case .reserve:
            call(
                "lmmc_reserve", loop, [count(body.buffers[output].type.shape[0]), names[inputs[1]], names[inputs[0]], names[output]])
        case .keepStoredRows(let slotBytes, let rowBytes):
            call(
                "lmmc_cache_keep", loop,
                ["\(slotBytes)", "\(rowBytes)", names[inputs[0]]] + inputs[1...2].flatMap(list) + [names[output]])
        case .release: call("lmmc_release", loop, inputs[0...1].flatMap(list) + [names[output]])
        case .call(let name, let arguments, let count): printCall(name, arguments, count, inputs, output)
        case .copyElements: printCopy(loop, inputs[0], output)
        }
    }

    /// A list: the number of its entries, and these.
    private func list(_ buffer: Int) -> [String] { [count(body.buffers[buffer].type.shape[0]), names[buffer]] }

    /// `lmmc_NAME((const lmmc_table[]){{data, rows, columns, stride}, ...}, attributes, output)`; the number that it counts, where it does.
    private mutating func printCall(_ name: String, _ arguments: [Attribute], _ counted: String?, _ inputs: [Int], _ output: Int) {
        let tables = inputs.map { input in
            let type = body.buffers[input].type
            if type.rank == 1 { return "{\(names[input]), \(count(type.shape[0])), 1, 1}" }
            let layout = layout(input)
            return "{\(names[input]), \(count(layout.rows)), \(layout.columns), \(layout.stride)}"
        }
        let values = arguments.map { argument in
            switch argument {
            case .integer(let value): "\(value)"
            case .float(let value): literal(value)
            case .symbol(let name): name
            case .integers(let values): "(const int64_t[]){\(values.map(String.init).joined(separator: ", "))}"
            case .floats(let values): "(const float[]){\(values.map(literal).joined(separator: ", "))}"
            }
        }
        let offset = counted.flatMap(plan.counts.offset)
        let (head, tail) = offset.map { ("const int64_t \(counted ?? "") = lmmc_set_count(memory, \($0), ", ");") } ?? ("", ";")
        lines.append("  \(head)lmmc_\(name)((const lmmc_table[]){")
        lines += tables.map { "          \($0)," }
        lines += wrapped("}, \((values + [names[output]]).joined(separator: ", ")))\(tail)", indent: 6)
        guard let counted else { return }
        uncounted.remove(counted)
        printBuffers(late: true)
    }

    // MARK: - loops

    /// The row that a call works on.
    private func index(_ loop: Loop) -> String { if case .parallel = loop { "i" } else { "0" } }

    /// `x + i * 4096`, the row of a loop, or `x` where there is one row.
    private func row(_ buffer: Int, in loop: Loop) -> String {
        let layout = layout(buffer)
        guard case .parallel(layout.rows) = loop else { return names[buffer] }
        return "\(names[buffer]) + i * \(layout.stride)"
    }

    private func head(_ rows: Affine) -> String { "  for (int64_t i = 0; i < \(count(rows)); i++)" }

    /// A call for each row.
    private mutating func call(_ function: String, _ loop: Loop, _ arguments: [String]) {
        let statement = "\(function)(\(arguments.joined(separator: ", ")));"
        switch loop {
        case .inside, .once: lines += wrapped(statement, indent: 2)
        case .parallel(let rows):
            lines.append(Self.parallel)
            if head(rows).count + statement.count < 120 {
                lines.append("\(head(rows)) \(statement)")
            } else {
                lines += [head(rows)] + wrapped(statement, indent: 4)
            }
        }
    }

    /// A block for each row; its lines are indented by 4.
    private mutating func block(_ loop: Loop, _ inner: [String]) {
        switch loop {
        case .inside, .once: lines.append("  {")
        case .parallel(let rows): lines += [Self.parallel, head(rows) + " {"]
        }
        lines += inner + ["  }"]
    }

    private static let parallel = "#pragma omp parallel for"

    // MARK: - routines

    private func patch(_ extract: ExtractPatches, _ loop: Loop) -> [String] { ["\(extract.patch)", "\(extract.window)", index(loop)] }

    /// `lmmc_NAME_window(grid width, columns, kernel, margin, window, tokens, stride, output)`, the margin where there is one
    private mutating func printWindows(
        _ function: String, _ windows: GatherWindows, margin: Int = 0, _ loop: Loop, _ input: Int, _ output: Int
    ) {
        let tokens = layout(input)
        call(
            function, loop,
            ["\(windows.width)", "\(tokens.columns)", "\(windows.kernel)"] + (margin == 0 ? [] : ["\(margin)"])
                + [index(loop), names[input], "\(tokens.stride)", row(output, in: loop)])
    }

    /// `lmmc_attend_window(grid width, kernel, heads, head size, scale, window, query, keys, stride, values, stride, output)`
    private mutating func printWindowAttention(_ attention: WindowAttention, _ loop: Loop, _ inputs: [Int], _ output: Int) {
        let (windows, columns) = (attention.windows, layout(output).columns)
        call(
            "lmmc_attend_window", loop,
            [
                "\(windows.width)", "\(windows.kernel)", "\(attention.heads)", "\(columns / attention.heads)", literal(attention.scale),
                index(loop), row(inputs[0], in: loop),
            ] + inputs[1...2].flatMap { [names[$0], "\(layout($0).stride)"] } + [row(output, in: loop)])
    }

    /// `lmmc_NAME_row(columns, attributes, inputs, output)`
    private mutating func printRows(_ function: RowFunction, _ rounded: RowType?, _ loop: Loop, _ inputs: [Int], _ output: Int) {
        let columns = "\(layout(output).columns)", target = row(output, in: loop)
        let arguments = [columns] + function.attributes.map(literal) + inputs.map { row($0, in: loop) }
        guard let rounded else { return call(function.name, loop, arguments + [target]) }
        block(
            loop,
            [
                "float row[\(columns)];", "\(function.name)(\((arguments + ["row"]).joined(separator: ", ")));",
                "lmmc_quantize_row\(rounded.suffix)(\(columns), row, \(target));",
            ].flatMap { wrapped($0, indent: 4) })
    }

    private mutating func printNormalize(_ normalize: Normalize, _ loop: Loop, _ input: Int, _ output: Int) {
        let shape = body.buffers[input].type.shape.map { $0.fixedValue ?? 0 }
        let (height, width, channels) = (shape[0], shape[1], shape[2])
        let calls = (0..<channels).map { channel in
            let target = channel == 0 ? "i * \(width)" : "\(channel * height * width) + i * \(width)"
            return "    lmmc_normalize_row(\(width), \(channels), \(literal(normalize.mean[channel])), \(literal(normalize.std[channel])), "
                + "\(names[input]) + i * \(width * channels)\(channel == 0 ? "" : " + \(channel)"), \(names[output]) + \(target));"
        }
        block(loop, calls)
    }

    /// `.x = norm, .x_stride = 4096`
    private func matrix(_ field: String, _ buffer: Int) -> String {
        ".\(field) = \(names[buffer]), .\(field)_stride = \(layout(buffer).stride)"
    }

    private mutating func printMatmul(_ matmul: Matmul, _ format: WeightFormat, _ inputs: [Int], _ output: Int) {
        let (x, result) = (layout(inputs[0]), layout(output))
        var fields = [".m = \(count(result.rows)), .n = \(result.columns), .k = \(x.columns)"]
        let type: String
        switch format {
        case .float32:
            type = "lmmc_matmul"
            fields += [matrix("x", inputs[0]), matrix("weight", inputs[1])]
        case .bfloat16, .int8, .int4:
            type = "lmmc_packed_matmul"
            // Rows of blocks have no element stride, so theirs is in bytes.
            let bytes = x.stride * body.buffers[inputs[0]].type.dtype.byteCount
            fields += [".x = \(names[inputs[0]]), .x_stride = \(bytes)", ".weight = \(names[inputs[1]])"]
        }
        if let bias = matmul.biasIndex { fields.append(".bias = \(names[inputs[bias]])") }
        if let addend = matmul.addendIndex { fields.append(matrix("addend", inputs[addend])) }
        if let activation = matmul.activation { fields.append(".activation = \(activation.enumerator)") }
        fields.append(matrix("out", output))
        print(structCall: "lmmc_matmul\(format.suffix)", type, fields)
    }

    /// Bytes of a row of activations; rows that products read are whole blocks.
    private func rowBytes(_ dtype: DType, columns: Int) -> Int {
        switch dtype {
        case .int8Rows: BlockFormat.int8RowBytes(columns) ?? 0
        case .bfloat16: (BlockFormat.paddedColumns(columns) ?? 0) * dtype.byteCount
        case .float32, .float16, .int32, .uint8, .int8Heads, .bfloat16Panels, .int8Panels, .int4Panels: columns * dtype.byteCount
        }
    }

    /// Elements from slot to slot and from row to row of a cache.
    private func cacheStrides(_ buffer: Int) -> (slot: Int, row: Int) { (body.buffers[buffer].strides[0], body.buffers[buffer].strides[1]) }

    /// A row of the first input into its place in the cache.
    private mutating func printStore(_ type: KeyValueType, heads: Int, _ loop: Loop, _ inputs: [Int], _ output: Int) {
        let (i, cache) = (index(loop), cacheStrides(output))
        let columns = layout(inputs[0]).columns
        let place =
            "\(names[output]) + (int64_t)\(names[inputs[1]])[\(i)] * \(cache.slot) + (int64_t)\(names[inputs[2]])[\(i)] * \(cache.row)"
        let sizes = type == .int8 ? ["\(heads)", "\(columns / heads)"] : ["\(columns)"]
        call(type.storeName, loop, sizes + [row(inputs[0], in: loop), place])
    }

    private mutating func printAttention(_ attention: Attention, _ type: KeyValueType, _ inputs: [Int], _ output: Int) {
        let q = layout(inputs[0])
        let heads =
            ".heads = \(attention.heads), .kv_heads = \(attention.keyValueHeads), .head_size = \(q.columns / attention.heads), "
            + ".scale = \(literal(attention.scale))"
        let typed = type == .float32 ? [] : [".kv_type = \(type.enumerator)"]
        guard attention.isCached else {
            print(
                structCall: "lmmc_attention_\(attention.products.rawValue)", "lmmc_attention",
                [".queries = \(count(q.rows)), .keys = \(count(layout(inputs[1]).rows))", heads, matrix("q", inputs[0])] + typed
                    + [matrix("k", inputs[1]), matrix("v", inputs[2])] + (attention.hasBias ? [".bias = \(names[inputs[3]])"] : [])
                    + [matrix("out", output)])
            return
        }
        let (k, v) = (cacheStrides(inputs[1]), cacheStrides(inputs[2]))
        let rows =
            [".queries = \(count(q.rows))", heads, matrix("q", inputs[0])] + typed
            + [
                ".k = \(names[inputs[1]]), .k_stride = \(k.row)", ".v = \(names[inputs[2]]), .v_stride = \(v.row)", matrix("out", output),
            ]
        print(
            structCall: "lmmc_attention_cached_\(attention.products.rawValue)", "lmmc_cached_attention",
            [
                ".rows = {\(rows.joined(separator: ", "))}", ".slots = \(names[inputs[3]]), .places = \(names[inputs[4]])",
                ".slot_stride = \(k.slot)",
            ], depth: 3)
    }

    /// A call with a structure of named fields.
    private mutating func print(structCall function: String, _ type: String, _ fields: [String], depth: Int = 2) {
        lines += wrapped("\(function)((\(type)){\(fields.joined(separator: ", "))});", indent: 2, hanging: 6, depth: depth)
    }

    /// A loop per dimension.
    private mutating func printCopy(_ loop: Loop, _ input: Int, _ output: Int) {
        let (from, to) = (body.buffers[input], body.buffers[output])
        if case .parallel = loop { lines.append(Self.parallel) }
        var indent = "  "
        var (read, write) = (names[input] + "[", names[output] + "[")
        for (index, dimension) in to.type.shape.enumerated() {
            let variable = "i\(index)"
            lines.append("\(indent)for (int64_t \(variable) = 0; \(variable) < \(count(dimension)); \(variable)++)")
            indent += "  "
            read += "\(index == 0 ? "" : " + ")\(variable) * \(from.strides[index])"
            write += "\(index == 0 ? "" : " + ")\(variable) * \(to.strides[index])"
        }
        if to.type.rank == 0 { (read, write) = (read + "0", write + "0") }
        lines.append("\(indent)\(write)] = \(read)];")
    }
}
