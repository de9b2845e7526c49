import IR
import Plan

/// Prints the buffers and steps of a body as statements.
struct BodyPrinter {
    private let plan: Plan
    private let symbols: Symbols
    private let body: Body
    private let table: Int?
    private var names: [String] = []
    /// Buffers that some step, call or other buffer names: those without a declaration of their own stay out.
    private(set) var lines: [String] = []

    /// `arguments` are buffers that have a C parameter.
    init(_ plan: Plan, _ symbols: Symbols, _ body: Body, table: Int? = nil) {
        self.plan = plan
        self.symbols = symbols
        self.body = body
        self.table = table
        var scope = NameScope(reserved: symbols.names.union(["row"]))
        for buffer in body.buffers {
            switch buffer.place {
            // Weights have their shape beside their offset and are named there.
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

    mutating func printBuffers() {
        var declarations: [(text: String, note: String)] = []
        for (index, buffer) in body.buffers.enumerated() {
            let value: String
            var note = Self.shapeText(buffer)
            switch buffer.place {
            case .argument, .weight: continue
            case .arena(let offset): value = "lmmc_arena(memory, \(symbols.arena(offset)))"
            case .field(let column):
                if plan.tables[table ?? 0].fields[column].kind == .weight { continue }
                value = "lmmc_arena(memory, layer->\(symbols.fields[table ?? 0][column]))"
            case .inside(let parent, let offset, let lastRow, let position):
                var sum = names[parent]
                if offset != 0 { sum += " + \(offset)" }
                if lastRow != 0 { sum += " + (T - 1) * \(lastRow)" }
                if position != 0 { sum += " + P * \(position)" }
                if sum == names[parent] && buffer.type == body.buffers[parent].type { note += ", in place" }
                value = sum
            }
            declarations.append(("  \(declarator(buffer, names[index], isLocal: true)) = \(value);", note))
        }
        let width = min(declarations.map(\.text.count).max() ?? 0, 84)
        for (text, note) in declarations {
            lines.append(text + String(repeating: " ", count: max(width - text.count, 0) + 2) + "// " + note)
        }
        if !declarations.isEmpty { lines.append("") }
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
        list += EntryPoint.Symbol.allCases.filter(function.body.uses).map(\.rawValue)
        if let table = function.table { list.append("&\(symbols.tables[table])[\(rows.count == 1 ? "\(rows.lowerBound)" : "i")]") }
        list += arguments.map { names[$0] }
        let call = "\(symbols.layers[layer])(\(list.joined(separator: ", ")));"
        if rows.count == 1 {
            lines += wrapped(call, indent: 2)
        } else {
            lines += ["  for (int i = \(rows.lowerBound); i <= \(rows.upperBound); i++)"] + wrapped(call, indent: 4)
        }
    }

    private func count(_ extent: Extent) -> String {
        extent.hasSequence ? (extent.factor == 1 ? "T" : "T * \(extent.factor)") : "\(extent.factor)"
    }

    private func layout(_ buffer: Int) -> RowLayout {
        guard let layout = body.buffers[buffer].rowLayout else { preconditionFailure("the plan gives kernels rows") }
        return layout
    }

    /// `x + i * 4096`, the row of a loop, or `x` where there is one row.
    private func row(_ buffer: Int, in loop: Extent) -> String {
        let layout = layout(buffer)
        return loop.isMany && layout.rows == loop ? "\(names[buffer]) + i * \(layout.stride)" : names[buffer]
    }

    /// A block of statements for each row.
    private mutating func loop(_ rows: Extent, _ statements: [String]) {
        if rows.isMany { lines.append("#pragma omp parallel for") }
        lines.append(rows.isMany ? "  for (int64_t i = 0; i < \(count(rows)); i++) {" : "  {")
        for statement in statements { lines += wrapped(statement, indent: 4) }
        lines.append("  }")
    }

    private mutating func loop(_ rows: Extent, _ statement: String) {
        guard rows.isMany else {
            lines += wrapped(statement, indent: 2)
            return
        }
        lines.append("#pragma omp parallel for")
        let head = "  for (int64_t i = 0; i < \(count(rows)); i++)"
        if head.count + statement.count < 120 {
            lines.append("\(head) \(statement)")
        } else {
            lines += [head] + wrapped(statement, indent: 4)
        }
    }

    private mutating func print(_ kernel: Kernel, _ name: String, _ inputs: [Int], _ output: Int) {
        if !names[output].hasPrefix(identifier(name)) { lines.append("  // \(comment(name))") }
        switch kernel {
        case .normalize(let normalize): printNormalize(normalize, inputs[0], output)
        case .extractPatches(let extract):
            let (shape, result) = (body.buffers[inputs[0]].type.shape, layout(output))
            let target = "\(names[output]) + i * \(result.stride)"
            if body.buffers[inputs[0]].type.dtype == .uint8 {
                let channels = shape[2].fixedValue ?? 0
                let center = extract.center.isEmpty ? Array(repeating: 0, count: channels) : extract.center
                loop(
                    result.rows,
                    "lmmc_center_patch(\(shape[1]), \(shape[2]), \(extract.patch), \(extract.window), i, "
                        + "(const float[]){\(center.map(literal).joined(separator: ", "))}, \(names[inputs[0]]), \(target));")
            } else {
                loop(
                    result.rows,
                    "lmmc_extract_patch(\(shape[0]), \(shape[1]), \(shape[2]), \(extract.patch), \(extract.window), i, "
                        + "\(names[inputs[0]]), \(target));")
            }
        case .gatherWindows(let gather): printWindows("gather", gather, inputs[0], output)
        case .averageWindows(let average): printWindows("average", average.windows, inputs[0], output)
        case .embed:
            let result = layout(output)
            let token = result.rows.isMany ? "[i]" : "[0]"
            let table = body.buffers[inputs[1]].type
            let rows = table.dtype == .float32 ? "" : "\(table.shape[0]), "
            loop(
                result.rows,
                "lmmc_embed_row\(Self.suffix(table.dtype, float32: ""))(\(rows)\(result.columns), \(names[inputs[0]])\(token), \(names[inputs[1]]), "
                    + "\(inputs.count > 2 ? names[inputs[2]] : "NULL"), \(row(output, in: result.rows)));")
        case .matmul(let matmul): printMatmul(matmul, inputs, output)
        case .quantize(let type):
            let (from, result) = (layout(inputs[0]), layout(output))
            loop(
                result.rows,
                "lmmc_quantize_row\(Self.suffix(type.dtype))(\(from.columns), \(row(inputs[0], in: result.rows)), \(row(output, in: result.rows)));"
            )
        case .add: printRows("add", [], inputs, output)
        case .multiply: printRows("multiply", [], inputs, output)
        case .scale(let factor): printRows("scale", [literal(factor)], inputs, output)
        case .activation(let function): printRows(function.rawValue, [], inputs, output)
        case .gate(let function): printRows("gate_\(function.rawValue)", [], inputs, output)
        case .layerNorm(let epsilon): printRows(inputs.count == 1 ? "standardize" : "layer_norm", [literal(epsilon)], inputs, output)
        case .rmsNorm(let epsilon): printRows(inputs.count == 1 ? "rms_divide" : "rms_norm", [literal(epsilon)], inputs, output)
        case .rotaryTable(let frequencies):
            let result = layout(output)
            loop(
                result.rows,
                "lmmc_rotary_angles(\(frequencies.count), \(symbols.frequencies(frequencies)), \(result.rows.isMany ? "P + i" : "P"), "
                    + "\(row(output, in: result.rows)));")
        case .rotary(let headSize):
            let result = layout(output)
            loop(
                result.rows,
                "lmmc_rotary_row(\(result.columns / headSize), \(headSize / 2), \(row(inputs[1], in: result.rows)), "
                    + "\(row(inputs[0], in: result.rows)), \(row(output, in: result.rows)));")
        case .attention(let attention, let isCached): printAttention(attention, isCached: isCached, inputs, output)
        case .copy: printCopy(inputs[0], output)
        case .storeHeads(let heads, let size):
            let result = layout(output)
            loop(result.rows, "lmmc_store_row_i8(\(heads), \(size), \(row(inputs[0], in: result.rows)), \(row(output, in: result.rows)));")
        }
    }

    /// A kernel of windows of a grid: `lmmc_NAME_window(grid width, columns, kernel, window, tokens, output)`.
    private mutating func printWindows(_ kernel: String, _ windows: GatherWindows, _ input: Int, _ output: Int) {
        let (tokens, result) = (layout(input), layout(output))
        loop(
            result.rows,
            "lmmc_\(kernel)_window(\(windows.width), \(tokens.columns), \(windows.kernel), \(result.rows.isMany ? "i" : "0"), "
                + "\(names[input]), \(tokens.stride), \(row(output, in: result.rows)));")
    }

    /// A kernel of rows: `lmmc_NAME_row(columns, attributes, inputs, output)`.
    private mutating func printRows(_ kernel: String, _ attributes: [String], _ inputs: [Int], _ output: Int) {
        let result = layout(output)
        let operands = inputs.map { row($0, in: result.rows) }
        func call(_ target: String) -> String {
            "lmmc_\(kernel)_row(\((["\(result.columns)"] + attributes + operands + [target]).joined(separator: ", ")));"
        }
        let (type, target) = (body.buffers[output].type.dtype, row(output, in: result.rows))
        // What a kernel makes is rounded while it is in the cache.
        guard type != .float32 else { return loop(result.rows, call(target)) }
        loop(
            result.rows,
            [
                "float row[\(result.columns)];", call("row"), "lmmc_quantize_row\(Self.suffix(type))(\(result.columns), row, \(target));",
            ])
    }

    private mutating func printNormalize(_ normalize: Normalize, _ input: Int, _ output: Int) {
        let shape = body.buffers[input].type.shape.map { $0.fixedValue ?? 0 }
        let (height, width, channels) = (shape[0], shape[1], shape[2])
        lines.append("#pragma omp parallel for")
        lines.append("  for (int64_t i = 0; i < \(height); i++) {")
        for channel in 0..<channels {
            let target = channel == 0 ? "i * \(width)" : "\(channel * height * width) + i * \(width)"
            lines.append(
                "    lmmc_normalize_row(\(width), \(channels), \(literal(normalize.mean[channel])), \(literal(normalize.std[channel])), "
                    + "\(names[input]) + i * \(width * channels)\(channel == 0 ? "" : " + \(channel)"), \(names[output]) + \(target));")
        }
        lines.append("  }")
    }

    /// How the names of kernels end that read or make this type.
    static func suffix(_ dtype: DType, float32: String = "_f32") -> String {
        switch dtype {
        case .float32: float32
        case .bfloat16, .bfloat16Panels: "_bf16"
        case .int8Rows, .int8Panels: "_q8"
        case .int4Panels: "_q4"
        case .int8Heads: "_i8"
        case .float16, .int32, .uint8: "_\(dtype.rawValue)"
        }
    }

    /// `.x = norm, .x_stride = 4096`
    private func matrix(_ field: String, _ buffer: Int) -> String {
        ".\(field) = \(names[buffer]), .\(field)_stride = \(layout(buffer).stride)"
    }

    private mutating func printMatmul(_ matmul: Matmul, _ inputs: [Int], _ output: Int) {
        let (x, result) = (layout(inputs[0]), layout(output))
        let (left, weight) = (body.buffers[inputs[0]].type.dtype, body.buffers[inputs[1]].type.dtype)
        var fields = [".m = \(count(result.rows)), .n = \(result.columns), .k = \(x.columns)"]
        if weight.isPanels {
            // Rows of blocks have no element stride, so theirs is in bytes.
            fields += [".x = \(names[inputs[0]]), .x_stride = \(x.stride * left.byteCount)", ".weight = \(names[inputs[1]])"]
        } else {
            fields += [matrix("x", inputs[0]), matrix("weight", inputs[1])]
        }
        if let bias = matmul.biasIndex { fields.append(".bias = \(names[inputs[bias]])") }
        if let addend = matmul.addendIndex { fields.append(matrix("addend", inputs[addend])) }
        if let activation = matmul.activation { fields.append(".activation = \(activation.enumerator)") }
        fields.append(matrix("out", output))
        print(structCall: "lmmc_matmul\(Self.suffix(weight))", weight.isPanels ? "lmmc_packed_matmul" : "lmmc_matmul", fields)
    }

    private mutating func printAttention(_ attention: Attention, isCached: Bool, _ inputs: [Int], _ output: Int) {
        let (q, k) = (layout(inputs[0]), layout(inputs[1]))
        let keys = isCached ? "P + \(count(q.rows))" : count(k.rows)
        let held = KeyValueType(body.buffers[inputs[1]].type.dtype) ?? .float32
        let type = held == .float32 ? [] : [".kv_type = \(held.enumerator)"]
        print(
            structCall: "lmmc_attention_\(attention.products.rawValue)", "lmmc_attention",
            [
                ".queries = \(count(q.rows)), .keys = \(keys)",
                ".heads = \(attention.heads), .kv_heads = \(attention.keyValueHeads), .head_size = \(q.columns / attention.heads)",
                ".scale = \(literal(attention.scale)), .causal = \(isCached)", matrix("q", inputs[0]),
            ] + type + [matrix("k", inputs[1]), matrix("v", inputs[2]), matrix("out", output)])
    }

    /// A call with a structure of named fields.
    private mutating func print(structCall function: String, _ type: String, _ fields: [String]) {
        lines += wrapped("\(function)((\(type)){\(fields.joined(separator: ", "))});", indent: 2, hanging: 6, depth: 2)
    }

    /// Rows where both sides have them, else a loop per dimension.
    private mutating func printCopy(_ input: Int, _ output: Int) {
        let (from, to) = (body.buffers[input], body.buffers[output])
        if from.type.dtype == .float32, to.type.dtype == .bfloat16, let rows = to.rowLayout?.rows {
            loop(rows, "lmmc_store_row_bf16(\(layout(output).columns), \(row(input, in: rows)), \(row(output, in: rows)));")
            return
        }
        if from.type.dtype == .float32, let source = from.rowLayout, let target = to.rowLayout, source.rows == target.rows {
            printRows("copy", [], [input], output)
            return
        }
        var indent = "  "
        var (read, write) = (names[input] + "[", names[output] + "[")
        for (index, dimension) in to.type.shape.enumerated() {
            let variable = "i\(index)"
            if index == 0 { lines.append("#pragma omp parallel for") }
            lines.append("\(indent)for (int64_t \(variable) = 0; \(variable) < \(dimension); \(variable)++)")
            indent += "  "
            read += "\(index == 0 ? "" : " + ")\(variable) * \(from.strides[index])"
            write += "\(index == 0 ? "" : " + ")\(variable) * \(to.strides[index])"
        }
        if to.type.rank == 0 { (read, write) = (read + "0", write + "0") }
        lines.append("\(indent)\(write)] = \(read)];")
    }
}
