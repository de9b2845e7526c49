import IR
import Plan
import Support

/// A C source file of the emitted program.
public struct EmittedFile: Hashable, Sendable {
    public var name: String
    public var text: String
    /// Compiled once for each level of a target
    public var isLeveled: Bool

    public init(name: String, text: String, isLeveled: Bool = false) {
        self.name = name
        self.text = text
        self.isLeveled = isLeveled
    }
}

/// The C text of a plan. `model.c` is what it computes, on `contract/program.h` and `kernels/kernels.h` of Runtime/; it defines `lmmc_code` and is compiled
/// once for each level of a target. `program.c` is what it says about itself, `lmmc_program`.
public func emitProgram(_ plan: Plan, _ program: ProgramDescription) -> [EmittedFile] {
    let symbols = Symbols(plan)
    return [
        EmittedFile(name: "model.c", text: ModelPrinter(plan, symbols, version: program.version).text, isLeveled: true),
        EmittedFile(name: "program.c", text: DescriptionPrinter(plan, symbols, program).text),
    ]
}

/// Prints model.c from top to bottom.
private struct ModelPrinter {
    private let plan: Plan
    private let symbols: Symbols
    private(set) var text = ""

    init(_ plan: Plan, _ symbols: Symbols, version: String) {
        self.plan = plan
        self.symbols = symbols
        printHead(version)
        printMemory()
        printWeights()
        printLayers()
        printEntries()
        section("the program")
        line("\nconst lmmc_code LMMC_LEVELED(lmmc_code) = {")
        for entry in plan.entries.map(\.entry.rawValue) { line("    .\(entry) = \(entry),") }
        line("};")
    }

    private mutating func line(_ line: String = "") { text += line + "\n" }

    private mutating func section(_ title: String) {
        line("\n// ---- \(title) " + String(repeating: "-", count: max(4, 112 - title.count)))
    }

    private mutating func printHead(_ version: String) {
        let weights = byteCountText(UInt64(plan.weightBytes)), arena = byteCountText(UInt64(plan.arenaBytes))
        line("// \(comment(plan.moduleName)), compiled by lmmc \(comment(version)): \(weights) of weights, \(arena) of arena.")
        line("// T is the number of rows that a call processes (at most \(plan.chunk)), S that of the rows whose logits are wanted (at")
        line("// most \(plan.wantedRows)).")
        line("#include <math.h>\n#include <stddef.h>\n#include <stdint.h>\n")
        line("#include \"kernels/kernels.h\"\n#include \"contract/program.h\"")
    }

    // MARK: - memory

    private mutating func printMemory() {
        section("memory")
        line("// The arena, by byte offset:")
        let (states, slots) = (plan.regions.filter { $0.role == .state }, plan.slots)
        let lengths = states.filter { slots.lengths.contains($0.name) }
        if let first = lengths.first {
            row(
                first.offset, lengths.reduce(0) { $0 + $1.byteCount }, "the rows that the caches of \(lengths.count) blocks hold",
                first.type)
        }
        for region in plan.regions where region.role != .state {
            row(region.offset, region.byteCount, region.name, region.type)
        }
        let caches = states.filter { !slots.lengths.contains($0.name) }
        if let first = caches.first {
            row(
                first.offset, slots.count * slots.byteCount,
                "\(slots.count == 1 ? "a slot" : "\(slots.count) slots of \(slots.byteCount) bytes"), each with \(caches.count) caches",
                first.type)
        }
        for timeline in plan.timelines { line("//   of the scratch, \(timeline.name) takes \(timeline.byteCount) bytes") }
        if !symbols.regions.isEmpty { line() }
        for (name, region) in symbols.regions {
            constant(name, region.offset, region.type)
        }
        for (name, values) in symbols.rotary {
            line("\n// theta^(-2j/d): what pair j of a head of d turns by from one position to the next")
            line("static const float \(name)[\(values.count)] = {")
            print(values.map(literal), indent: 4)
            line("};")
        }
    }

    private mutating func row(_ offset: Int, _ bytes: Int, _ name: String, _ type: TensorType?) {
        let columns = [pad("\(offset)", 14), pad("\(bytes)", 14)].joined(separator: " ")
        line("// \(columns)  \(comment(name))\(type.map { "  \(shapeText($0))" } ?? "")")
    }

    private func pad(_ text: String, _ width: Int) -> String { String(repeating: " ", count: max(0, width - text.count)) + text }

    private func shapeText(_ type: TensorType) -> String {
        "\(type.dtype.rawValue) [\(type.shape.map(\.description).joined(separator: ", "))]"
    }

    private mutating func constant(_ name: String, _ offset: Int, _ type: TensorType?) {
        line("#define \(name) \(offset)\(type.map { "  // \(shapeText($0))" } ?? "")")
    }

    /// Comma-separated items in lines of at most 120 columns.
    private mutating func print(_ items: [String], indent: Int) {
        let lines = wrapped(items.joined(separator: ", "), indent: indent, hanging: indent)
        line(lines.joined(separator: "\n") + ",")
    }

    private mutating func printWeights() {
        section("weights, by byte offset in the attachment")
        for (name, weight) in symbols.constants { constant(name, weight.offset, weight.type) }
        for (index, table) in plan.tables.enumerated() {
            line("\n// What differs from one \(comment(table.name)) to the next.")
            line("typedef struct {")
            for (field, name) in zip(table.fields, symbols.fields[index]) {
                line("  uint64_t \(name);  // \(field.kind == .weight ? "" : "in the arena, ")\(shapeText(field.type))")
            }
            line("} \(symbols.tableTypes[index]);\n")
            line("static const \(symbols.tableTypes[index]) \(symbols.tables[index])[\(table.rows.count)] = {")
            for (layer, offsets) in zip(table.layers, table.rows) {
                line("    {")
                line("        // \(comment(layer))")
                print(zip(symbols.fields[index], offsets).map { ".\($0) = \($1)" }, indent: 8)
                line("    },")
            }
            line("};")
        }
    }

    // MARK: - functions

    private mutating func printLayers() {
        for (index, layer) in plan.layers.enumerated() {
            if index == 0 { section("repeated layers") }
            var printer = BodyPrinter(plan, symbols, layer.body, table: layer.table)
            var parameters = ["const lmmc_memory *memory"]
            parameters += plan.symbolNames.filter(layer.body.uses).map { "int64_t \($0)" }
            if let table = layer.table { parameters.append("const \(symbols.tableTypes[table]) *layer") }
            let buffers = layer.arguments.map { "\(printer.name($0)): \(BodyPrinter.shapeText(layer.body.buffers[$0]))" }
            line(index == 0 ? "" : "")
            if buffers.joined(separator: "; ").count <= 116 {
                line("// \(buffers.joined(separator: "; "))")
            } else {
                for buffer in buffers { line("// \(buffer)") }
            }
            function(symbols.layers[index], parameters + layer.arguments.map(printer.parameter))
            printer.printBuffers()
            printer.printSteps()
            for statement in printer.lines { line(statement) }
            line("}")
        }
    }

    private mutating func function(_ name: String, _ parameters: [String]) {
        for text in wrapped("static void \(name)(\(parameters.joined(separator: ", "))) {", indent: 0) { line(text) }
    }

    private mutating func printEntries() {
        section("entry points")
        for (entry, body) in plan.entries.map({ ($0.entry, $0.body) }) {
            line()
            function(entry.rawValue, ["const lmmc_memory *memory"] + entry.counts.map { "int64_t \($0.rawValue)" })
            let calls = body.steps.compactMap { step in if case .call(let layer, _, _, _) = step { layer } else { nil as Int? } }
            let bodies = [body] + calls.map { plan.layers[$0].body }
            for count in entry.counts where !bodies.contains(where: { $0.uses(count.rawValue) }) { line("  (void)\(count.rawValue);") }
            for (symbol, offset) in countsBefore(entry, body, bodies) {
                line("  const int64_t \(symbol) = lmmc_count(memory, \(offset));")
            }
            // An image takes far longer than a token, and those who have slots of their own wait for none.
            var printer = BodyPrinter(plan, symbols, body, yields: entry == .vision && plan.slots.count > 1)
            printer.printBuffers()
            printer.printSteps()
            if printer.lines.isEmpty { line("  (void)memory;") }
            for statement in printer.lines { line(statement) }
            if entry == .project, let rows = plan.counts.projected, let offset = plan.counts.projectedOffset {
                line("  lmmc_set_count(memory, \(offset), \(BodyPrinter.count(rows)));")
            }
            line("}")
        }
    }

    /// What an entry point reads of the numbers that those before it have left.
    private func countsBefore(_ entry: EntryPoint, _ body: Body, _ bodies: [Body]) -> [(symbol: String, offset: Int)] {
        let result = entry == .project ? plan.counts.projected?.symbols.map(\.name) ?? [] : []
        return plan.counts.symbols.compactMap { symbol in
            guard !body.counted.contains(symbol), bodies.contains(where: { $0.uses(symbol) }) || result.contains(symbol),
                let offset = plan.counts.offset(of: symbol)
            else { return nil }
            return (symbol, offset)
        }
    }
}

/// Prints program.c.
private struct DescriptionPrinter {
    private let program: ProgramDescription
    private(set) var text = ""

    init(_ plan: Plan, _ symbols: Symbols, _ program: ProgramDescription) {
        self.program = program
        line("// What \(comment(plan.moduleName)) says about itself.")
        line("#include \"contract/program.h\"")
        if let start = plan.cacheOffsets?.slots {
            line("\nstatic const lmmc_cache caches[\(plan.slots.caches.count)] = {")
            for cache in plan.slots.caches {
                line("    {\(start + cache.offset), \(cache.rowBytes), \(cache.block)},  // \(comment(cache.name))")
            }
            line("};")
        }
        if let points = plan.blockPoints {
            let list = wrapped(
                "static const int32_t block_points[\(points.count)] = {\(points.map(String.init).joined(separator: ", "))};", indent: 0)
            line("\n" + list.joined(separator: "\n"))
        }
        line("\nconst lmmc_model lmmc_program = {")
        field("version", literal(program.version))
        field("info", literal(program.info))
        if let vision = program.vision {
            let background = vision.background.map { "\($0)" }.joined(separator: ", ")
            field(
                "preprocess",
                "{.mode = \(vision.mode.enumerator), .resize = \(vision.resize), .size = \(vision.size), "
                    + ".background = {\(background)}}")
            field("mean", "{\(vision.mean.map(literal).joined(separator: ", "))}")
            field("std", "{\(vision.std.map(literal).joined(separator: ", "))}")
            field("vision_tokens", "\(vision.tokens)")
            field("max_images", "\(vision.maxImages)")
        }
        if let reducer = program.reducer {
            field("reducer", literal(reducer.name))
            if reducer.knowsOneImage { field("one_image", "true") }
            if reducer.recomputes { field("recomputes", "true") }
            if reducer.prefusedRows > 0 { field("prefused_rows", "\(reducer.prefusedRows)") }
        }
        field("hidden", "\(plan.hidden)")
        field("vocabulary", "\(plan.vocabulary)")
        field("sequences", "\(plan.slots.count)")
        field("context", "\(program.context)")
        field("chunk", "\(plan.chunk)")
        field("wanted_rows", "\(plan.wantedRows)")
        if plan.hasFloat32Products { field("float32_products", "true") }
        if plan.takesWholePrompts { field("whole_prompts", "true") }
        if let offset = plan.counts.projectedOffset { field("projected_rows", "\(offset)") }
        if let question = plan.region(.question)?.type?.fixedShape, let offset = plan.counts.offset(of: EntryPoint.question) {
            field("question_bound", "\(question[0])")
            field("question_tokens", "\(offset)")
        }
        if plan.region(.bars) != nil { field("reads_bars", "true") }
        if let selected = plan.region(.selected)?.type?.fixedShape { field("selected_count", "\(selected.reduce(1, *))") }
        if plan.region(.protectedRows) != nil { field("protects_rows", "true") }
        if let kept = plan.region(.kept)?.type?.fixedShape {
            field("kept_points", "\(kept[0])")
            field("kept_bound", "\(kept.dropFirst().reduce(1, *))")
            if plan.blockPoints != nil { field("block_points", "block_points") }
        }
        printTemplate()
        field("adds_bos", "\(program.addsBOS)")
        field("bos", "\(program.bos)")
        let eos = program.eos.prefix(ProgramDescription.maxEOSCount)
        field("eos_count", "\(eos.count)")
        if !eos.isEmpty { field("eos", "{\(eos.map(String.init).joined(separator: ", "))}") }
        if let compression = program.compression {
            field("compression_token", "\(compression.token)")
            field("compression_count", "\(compression.count)")
        }
        field("attachment_bytes", "\(program.attachmentBytes)")
        field("tokenizer_offset", "\(program.tokenizerOffset)")
        field("tokenizer_bytes", "\(program.tokenizerBytes)")
        if program.treeBytes > 0 {
            field("token_tree_offset", "\(program.treeOffset)")
            field("token_tree_bytes", "\(program.treeBytes)")
        }
        if program.prefixBytes > 0 {
            field("prefix_offset", "\(program.prefixOffset)")
            field("prefix_bytes", "\(program.prefixBytes)")
        }
        if program.sumsOffset > 0 { field("sums_offset", "\(program.sumsOffset)") }
        field("arena_bytes", "\(plan.arenaBytes)")
        let resident = plan.resident
        printSlots(plan)
        field("cache_bytes", "\(resident.cache)")
        if let type = plan.cacheType { field("cache_type", type.enumerator) }
        field("image_bytes", "\(resident.image)")
        field("chunk_bytes", "\(resident.chunk)")
        for (_, region) in symbols.regions {
            if case .entry(let entry) = region.role { field(entry.rawValue, "\(region.offset)") }
        }
        for function in plan.entries where EntryPoint.ofQuestion.contains(function.entry) {
            line("    .\(function.entry.rawValue)_products =")
            let names = plan.productNames(of: function).map { $0 + "\n" }
            // As many names to a line as it has room for; a literal without any ends the list.
            var row = ""
            for name in names {
                if !row.isEmpty, row.count + name.count > 100 {
                    line("        " + literal(row))
                    row = ""
                }
                row += name
            }
            line("        \(literal(row)),")
        }
        line("};")
    }

    private mutating func line(_ line: String) { text += line + "\n" }

    private mutating func printSlots(_ plan: Plan) {
        let slots = plan.slots
        guard let offsets = plan.cacheOffsets else { return }
        field("blocks", "\(slots.lengths.count)")
        let blocks = Set(slots.lengths.compactMap { ModelLayer(of: $0)?.name }).count
        if 1..<slots.lengths.count ~= blocks { field("counted_blocks", "\(blocks)") }
        field("caches", "caches")
        field("cache_count", "\(slots.caches.count)")
        field("slots_offset", "\(offsets.slots)")
        field("slot_bytes", "\(slots.byteCount)")
        field("lengths", "\(offsets.lengths)")
    }

    private mutating func printTemplate() {
        let template = program.template
        line("    .prompt = {")
        let texts = [
            ("alone", template.alone), ("before", template.before), ("image", template.image), ("between", template.between),
            ("after", template.after), ("before_answer", template.turns?.beforeAnswer), ("next", template.turns?.next),
            ("next_before", template.turns?.nextBeforeImages),
            ("system_start", template.system?.start), ("system_alone", template.system?.alone), ("system_before", template.system?.before),
            ("system", template.systemText),
        ]
        for case (let name, let text?) in texts {
            let start = "        .\(name) = ", parts = literals(text)
            for (index, part) in parts.enumerated() {
                line((index == 0 ? start : String(repeating: " ", count: start.count)) + part + (index == parts.count - 1 ? "," : ""))
            }
        }
        let cuts = [
            ("cuts_start", template.cutsStart), ("cuts_start_behind_image", template.cutsStartBehindImage), ("cuts_end", template.cutsEnd),
            ("cuts_answer", template.turns?.cutsAnswer ?? false),
            ("cuts_system", template.system?.isCut ?? false), ("flattens_words", template.flattensWords),
        ]
        for (name, isCut) in cuts where isCut { line("        .\(name) = true,") }
        line("    },")
    }

    private mutating func field(_ name: String, _ value: String) { line("    .\(name) = \(value),") }
}
