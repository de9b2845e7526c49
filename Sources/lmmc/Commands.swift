import ArgumentParser
import Driver
import Synth

struct Command: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lmmc",
        abstract: "Compiles a LLaVA checkpoint into one native executable with its weights inside.",
        version: "lmmc \(Lmmc.version)",
        subcommands: [Compile.self, Calibrate.self, Check.self, Inspect.self, IR.self, Opt.self, Synth.self, Targets.self])
}

struct ModelArguments: ParsableArguments {
    @Option(help: ArgumentHelp("Positions that the KV cache holds. (default: min(max_position_embeddings, 4096))", valueName: "n"))
    var context: Int?

    @Option(
        help: ArgumentHelp(
            "Sequences that the program can hold at once, each with that context; memory of one is untouched until it is used. (default: "
                + "\(ModelOptions.defaultSequences); of inspect and ir: 1)",
            valueName: "n"))
    var sequences: Int?

    @Option(
        help: ArgumentHelp(
            "Folder with the vision tower's configuration and, where the checkpoint lacks them, its weights.", valueName: "dir"))
    var visionTower: String?

    @Option(
        help: ArgumentHelp(
            "File with a projector to use in place of the checkpoint's (mm_projector.bin, or safetensors).", valueName: "file"))
    var projector: String?

    @Option(help: ArgumentHelp("Folder with a LoRA adapter to merge into the weights (adapter_config.json).", valueName: "dir"))
    var adapter: String?

    @Option(help: ArgumentHelp("What 'lmmc calibrate' measured, so that int8 and int4 round less.", valueName: "file"))
    var calibration: String?

    @Option(
        help: ArgumentHelp(
            "What leaves out vision tokens without training, as fastv:layer=2,keep=144; lists are joined by +, none turns off what the checkpoint says.",
            valueName: "method[:key=value,...]"))
    var reduce: [String] = []

    @Option(
        help: ArgumentHelp(
            "What '--prompt' is wrapped in: llava_v1, vicuna_v1, llama-3, voco, none, or checkpoint for the chat template in its files. (default: LLaVA's by the tokenizer)",
            valueName: "name"))
    var template: String?

    @Option(help: ArgumentHelp("Arithmetic of the binary: f32, bf16, int8 or int4. (default: int8)", valueName: "type"))
    var precision: String?

    @Option(
        help: ArgumentHelp(
            "Another precision for the products by some weights, as '*.mlp.down.*=int8'; repeatable, the last that fits wins.",
            valueName: "pattern=type"))
    var precisionFor: [String] = []

    @Option(
        help: ArgumentHelp(
            "CPUs to make code for: x86-64 or aarch64, every level in one file, or native, this CPU's level. (default: this machine's architecture)",
            valueName: "name"))
    var target: String = ModelOptions.defaultTarget

    @Option(
        help: ArgumentHelp(
            "Levels of the target to have, separated by commas; 'lmmc targets' names them. (default: all)", valueName: "levels"))
    var targetLevel: String?

    @Option(help: ArgumentHelp("What the KV cache holds: f32, bf16 or int8. (default: f32 with f32, else bf16)", valueName: "type"))
    var kv: String?

    func policy() throws -> ModelOptions.PrecisionPolicy { try ModelOptions.policy(precision, cache: kv, overrides: precisionFor) }

    func reduction() throws -> ReductionChoice { try ReductionChoice(reduce) }

    func options(_ model: String, sequences other: Int = ModelOptions.defaultSequences) throws -> ModelOptions {
        ModelOptions(
            model: model, context: context, sequences: sequences ?? other, visionTower: visionTower, projector: projector, adapter: adapter,
            calibration: calibration, reduction: try reduction(), template: template,
            precision: try policy(), target: target,
            targetLevels: targetLevel.map { $0.split(separator: ",").map(String.init) })
    }
}

struct PassArguments: ParsableArguments {
    @Option(help: ArgumentHelp("Pass to leave out; repeatable.", valueName: "pass"))
    var disablePass: [String] = []

    @Option(help: ArgumentHelp("Pass after which the IR text goes to standard error; repeatable.", valueName: "pass"))
    var printAfter: [String] = []

    @Flag(inversion: .prefixedNo, help: "Check the rules of the IR after every pass.")
    var verifyEach = true

    @Flag(help: "Print a table of the passes to standard error: rewrites, milliseconds, operations after.")
    var timePasses = false

    var options: PassOptions {
        PassOptions(disabled: disablePass, printAfter: printAfter, verifyEach: verifyEach, timePasses: timePasses)
    }
}

struct Compile: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Compile a checkpoint folder into one standalone executable.")

    @Argument(help: "Checkpoint folder.")
    var model: String

    @Option(name: .shortAndLong, help: "Executable to make, or the folder with '--emit c'.")
    var output: String

    @Option(help: ArgumentHelp("What to make: executable, or c for sources, weights and a build script.", valueName: "kind"))
    var emit: String = "executable"

    @OptionGroup var arguments: ModelArguments

    @Option(help: ArgumentHelp("C compiler. (default: gcc, cc or clang, the first that works)", valueName: "path"))
    var cc: String?

    @Option(
        help: ArgumentHelp(
            "How to link: static, needing nothing of the machine that it runs on, or dynamic. (default: static where the compiler can)",
            valueName: "kind"))
    var link: String?

    @Option(
        name: .customLong("dump-ir"),
        help: ArgumentHelp("Folder for the IR after import and every pass, one numbered file each.", valueName: "dir"))
    var dumpIR: String?

    @OptionGroup var passes: PassArguments

    @Option(help: ArgumentHelp("System text of conversations that have none, in the place of the template's.", valueName: "text"))
    var system: String?

    @Option(
        help: ArgumentHelp(
            "Whether the keys and values of what every prompt begins with are computed now, by the finished program: yes or no. (default: yes)",
            valueName: "yes|no"))
    var foldPrefix: String?

    @Option(help: ArgumentHelp("Whether the program has '--serve': yes or no. (default: yes)", valueName: "yes|no"))
    var serve: String?

    @Option(help: ArgumentHelp("C files to compile at a time. (default: the CPUs of this machine)", valueName: "n"))
    var jobs: Int?

    @Flag(help: "No progress.")
    var quiet = false

    @Flag(help: "Say what is chosen and run.")
    var verbose = false

    func run() throws {
        var model = try arguments.options(model)
        model.system = system
        try Lmmc.compile(
            CompileOptions(
                model: model, output: output, emit: choice(emit, option: "--emit"), cc: cc,
                link: choice(link, option: "--link"), dumpIR: dumpIR, passes: passes.options,
                foldsPrefix: (choice(foldPrefix, option: "--fold-prefix") ?? YesOrNo.yes) == .yes,
                serves: (choice(serve, option: "--serve") ?? YesOrNo.yes) == .yes,
                jobs: jobs,
                verbosity: quiet ? .quiet : verbose ? .verbose : .normal))
    }
}

struct Calibrate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Measure, on images and prompts, what the decoder's norms see, for 'compile --calibration': int8 and int4 then round less.")

    @Argument(help: "Checkpoint folder, or a GGUF file.")
    var model: String

    @Option(help: ArgumentHelp("Folder with prompts.txt, one a line, and images; both are taken in turn.", valueName: "dir"))
    var data: String

    @Option(name: .shortAndLong, help: ArgumentHelp("File to write, in safetensors.", valueName: "file"))
    var output: String

    @OptionGroup var arguments: ModelArguments

    @Option(help: ArgumentHelp("C compiler. (default: gcc, cc or clang, the first that works)", valueName: "path"))
    var cc: String?

    @Flag(help: "No progress.")
    var quiet = false

    @Flag(help: "Say what is chosen and run.")
    var verbose = false

    func run() throws {
        try Lmmc.calibrate(
            CalibrateOptions(
                model: try arguments.options(model), data: data, output: output, cc: cc,
                verbosity: quiet ? .quiet : verbose ? .verbose : .normal))
    }
}

struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Compare a binary's intermediate tensors with the reference's.",
        discussion:
            "The reference is slow: for models at full size give '--until', or '--golden' with what a binary of another precision wrote.")

    @Argument(help: "Checkpoint folder, or a GGUF file.")
    var model: String

    @Argument(help: "A program that was compiled from it.")
    var binary: String

    @OptionGroup var arguments: ModelArguments

    @Option(help: ArgumentHelp("An image to look at. (default: one that the program has built in)", valueName: "file"))
    var image: String?

    @Option(help: ArgumentHelp("The question. (default: one that the program has built in)", valueName: "text"))
    var prompt: String?

    @Option(help: ArgumentHelp("What '--dump-tensors' of another program wrote, in place of the reference.", valueName: "dir"))
    var golden: String?

    @Option(help: ArgumentHelp("The last tensor to compute, by its name in 'lmmc ir'.", valueName: "name"))
    var until: String?

    @Option(help: ArgumentHelp("Relative l2 distance to allow. (default: by the program's precision)", valueName: "x"))
    var tolerance: Double?

    @Flag(help: "One JSON object instead of a table.")
    var json = false

    func run() throws {
        try Lmmc.check(
            CheckOptions(
                model: try arguments.options(model), binary: binary, image: image, prompt: prompt, golden: golden, until: until,
                tolerance: tolerance,
                json: json))
    }
}

struct Inspect: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show a checkpoint's architecture, tensors, sizes and work, and what they mean for a machine.")

    @Argument(help: "Checkpoint folder, or a GGUF file.")
    var model: String?

    @OptionGroup var preset: PresetArguments

    @OptionGroup var arguments: ModelArguments

    @Option(help: ArgumentHelp("Text tokens of the prompt whose work is counted, beside one image.", valueName: "n"))
    var textTokens: Int = 64

    @Option(help: ArgumentHelp("Memory of a machine, 8GiB say: whether the model fits.", valueName: "size"))
    var memory: String?

    @Option(help: ArgumentHelp("What its memory delivers, 30GB/s say: with '--compute', what times to expect.", valueName: "rate"))
    var bandwidth: String?

    @Option(help: ArgumentHelp("What its arithmetic does, 500GFLOPS say.", valueName: "rate"))
    var compute: String?

    @Flag(help: "One JSON object instead of text.")
    var json = false

    func run() throws {
        try Lmmc.inspect(
            InspectOptions(
                model: try model.map { try arguments.options($0, sequences: 1) }, preset: preset.choice(arguments),
                precision: try arguments.policy(), reduction: try arguments.reduction(),
                box: Box(memory: memory, bandwidth: bandwidth, compute: compute), textTokens: textTokens, json: json))
    }
}

/// An architecture of `lmmc synth`, in the place of a checkpoint.
struct PresetArguments: ParsableArguments {
    @Option(help: ArgumentHelp("Instead of a checkpoint, an architecture of 'lmmc synth', without weights.", valueName: "name"))
    var preset: String?

    @OptionGroup var shape: ShapeArguments

    func choice(_ model: ModelArguments) -> PresetChoice? {
        preset.map { shape.choice($0, context: model.context, sequences: model.sequences ?? 1) }
    }
}

/// What may be chosen about an architecture.
struct ShapeArguments: ParsableArguments {
    @Option(help: ArgumentHelp("Decoder layers of the preset. (default: the architecture's own)", valueName: "n"))
    var layers: Int?

    @Option(help: ArgumentHelp("Blocks of the preset's vision tower. (default: the architecture's own)", valueName: "n"))
    var visionLayers: Int?

    @Option(help: ArgumentHelp("Pixels along each side of the preset's images. (default: 336)", valueName: "n"))
    var imageSize: Int?

    @Option(
        help: ArgumentHelp("Fusion of the preset: stf, avgpool, tokenconcat, qformer, or none for a projector alone.", valueName: "name"))
    var strategy: String?

    @Option(
        help: ArgumentHelp("Taps of the preset: a count, spread evenly, or blocks separated by commas ('23,' for one).", valueName: "taps"))
    var taps: String?

    @Option(help: ArgumentHelp("Window edge of the preset's fusion.", valueName: "k"))
    var kernel: Int?

    @Option(help: ArgumentHelp("Tokens that each window of the preset becomes.", valueName: "e"))
    var tokensPerWindow: Int?

    @Flag(inversion: .prefixedNo, help: "Fuse the preset's taps by two 1x1 convolutions.")
    var mbtf: Bool?

    func choice(_ name: String, context: Int? = nil, sequences: Int = 1) -> PresetChoice {
        PresetChoice(
            name: name, layers: layers, visionLayers: visionLayers, imageSize: imageSize, strategy: strategy, taps: taps, kernel: kernel,
            tokensPerWindow: tokensPerWindow, mbtf: mbtf, context: context, sequences: sequences)
    }
}

struct IR: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ir", abstract: "Show the IR after a stage, or all stages as a page or a table.")

    @Argument(help: "Checkpoint folder.")
    var model: String?

    @OptionGroup var preset: PresetArguments

    @Option(help: ArgumentHelp("Stage to stop at; 'list' names the stages.", valueName: "name"))
    var stage: String?

    @Option(help: ArgumentHelp("Form of the stage: text, dot or json.", valueName: "form"))
    var format: String = "text"

    @Flag(help: "Show a repeated layer once, with a note for the others.")
    var collapseLayers = false

    @Option(
        help: ArgumentHelp("Page to write: the graph, the pipeline and the differences between stages, in one file.", valueName: "file"))
    var html: String?

    @Flag(help: "Print a table of all stages: rewrites, operations, memory, FLOPs.")
    var summary = false

    @OptionGroup var arguments: ModelArguments

    @OptionGroup var passes: PassArguments

    func run() throws {
        try Lmmc.ir(
            IROptions(
                model: try model.map { try arguments.options($0, sequences: 1) }, preset: preset.choice(arguments),
                precision: try arguments.policy(), reduction: try arguments.reduction(),
                stage: stage, html: html, summary: summary, format: choice(format, option: "--format", suggesting: true),
                collapseLayers: collapseLayers, passes: passes.options))
    }
}

struct Opt: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Run passes over IR text and print the result.")

    @Argument(help: "File of IR text; '-' is standard input.")
    var file: String?

    @Option(help: ArgumentHelp("Passes in the order to run them, separated by commas; 'list' names them.", valueName: "names"))
    var passes: String

    @Option(help: ArgumentHelp("Form of the result: text, dot or json.", valueName: "form"))
    var format: String = "text"

    @Flag(help: "Show a repeated layer once, with a note for the others.")
    var collapseLayers = false

    @OptionGroup var passArguments: PassArguments

    func run() throws {
        try Lmmc.opt(
            file: file, passes: passes, options: passArguments.options, format: choice(format, option: "--format", suggesting: true),
            collapseLayers: collapseLayers)
    }
}

struct Synth: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Write a random-weight checkpoint of a named architecture at full size.")

    @Option(help: ArgumentHelp("Architecture; 'list' names them.", valueName: "name"))
    var preset: String

    @OptionGroup var shape: ShapeArguments

    @Option(help: "Seed of the random weights.")
    var seed: UInt64 = 0

    @Option(name: .shortAndLong, help: "Folder to make.")
    var output: String?

    @Flag(help: "No progress.")
    var quiet = false

    func run() throws {
        try Lmmc.synth(shape.choice(preset), seed: seed, output: output, verbosity: quiet ? .quiet : .normal)
    }
}

struct Targets: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show the CPU targets that code can be made for, and this machine.")

    func run() throws { try Lmmc.targets() }
}
