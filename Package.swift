// swift-tools-version: 6.1
import PackageDescription

let collections: Target.Dependency = .product(name: "OrderedCollections", package: "swift-collections")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

// An error of the C code that reads files of strangers ends lmmc rather than run on (Sources/Toolchain has the same of programs).
var hardeningFlags = ["-fstack-protector-strong", "-fstack-clash-protection"]
#if arch(x86_64)
    hardeningFlags.append("-fcf-protection")
#endif
let hardened: [CSetting] = [.unsafeFlags(hardeningFlags), .define("_FORTIFY_SOURCE", to: "2", .when(configuration: .release))]

// One target per room; a room may import only what stands in its list (Docs/Architecture.md).
let package = Package(
    name: "lmmc",
    products: [.executable(name: "lmmc", targets: ["lmmc"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    ],
    targets: [
        // Plain C: a signal handler may run nothing else.
        .target(name: "Endings", cSettings: hardened),
        .target(name: "Support", dependencies: ["Endings"]),
        .target(name: "Work", dependencies: ["Endings", "Support"]),
        // Plain C: what the compiler reads of a checkpoint comes no slower than from the disk.
        .target(name: "Widen", path: "Sources/Weights/Widen", cSettings: hardened),
        .target(name: "Checkpoint", dependencies: ["Endings", "Widen", "Support"]),
        .target(name: "ChatTemplate", dependencies: ["Support"]),
        .target(name: "Contract", path: "Runtime/contract", publicHeadersPath: ".", cSettings: hardened),
        .target(name: "IR", dependencies: ["Contract", "Support", collections]),
        .target(name: "IRText", dependencies: ["IR", "Support"]),
        .target(name: "ModelImport", dependencies: ["Checkpoint", "IR", "Support"]),
        .target(name: "Reduction", dependencies: ["Checkpoint", "IR", "Support"]),
        // Products of large folds: C for its vectors. OpenBLAS has no float32 products with float64 sums (Docs/Passes.md).
        .target(name: "FoldProduct", path: "Sources/Weights/FoldProduct", cSettings: hardened),
        .target(name: "Reference", dependencies: ["FoldProduct", "IR", "Pack", "Support"]),
        .target(name: "Weights", dependencies: ["IR", "Reference", "Support"], exclude: ["FoldProduct", "Pack", "Widen"]),
        .target(name: "Passes", dependencies: ["IR", "Support", collections]),
        .target(name: "Plan", dependencies: ["IR", "Support"]),
        .target(name: "IRPage", exclude: ["page.css", "page.html", "page.js", "tree.js", "diff.js", "selftest.js"]),
        .target(name: "IRView", dependencies: ["IRPage", "Plan", "IR", "Support", collections]),
        .target(name: "CEmit", dependencies: ["ChatTemplate", "Contract", "Plan", "IR", "Support"]),
        .target(name: "Toolchain", dependencies: ["RuntimeSources", "Support", "Work"]),
        // Plain C, because an emitted C folder carries it too and builds without Swift.
        .target(name: "Attach", dependencies: ["Contract"], path: "Sources/Packaging/Attach", cSettings: hardened),
        .target(name: "Pack", dependencies: ["Contract"], path: "Sources/Weights/Pack", cSettings: hardened),
        // What a compilation asks of the program's own code, of which these files are all that it needs.
        .target(
            name: "CompileTime", path: "Runtime",
            sources: [
                "base/error.c", "base/printable.c", "base/text.c", "grammar/characters.c", "grammar/expression.c", "grammar/vocabulary.c",
                "compile_time/prompt_head.c", "compile_time/token_tree.c", "session/prompt.c", "session/white_space.c",
                "tokenizer/encode.c", "tokenizer/split.c", "tokenizer/tokenizer.c",
            ], publicHeadersPath: "compile_time", cSettings: hardened + [.headerSearchPath(".")]),
        .executableTarget(name: "EmbedFiles", path: "Tools/EmbedFiles"),
        .plugin(name: "EmbedRuntime", capability: .buildTool(), dependencies: ["EmbedFiles"], path: "Tools/EmbedRuntime"),
        .target(name: "RuntimeSources", plugins: ["EmbedRuntime"]),
        .target(
            name: "Packaging",
            dependencies: [
                "Attach", "ChatTemplate", "Checkpoint", "CompileTime", "Contract", "IR", "Pack", "Plan", "Support", "Weights", "Work",
            ],
            exclude: ["Attach"]),
        .target(name: "Synth", dependencies: ["Checkpoint", "Packaging", "Support", "Work"]),
        .target(
            name: "Driver",
            dependencies: [
                "Support", "Work", "ChatTemplate", "Checkpoint", "IR", "IRText", "ModelImport", "Reduction", "Reference", "Passes", "Plan",
                "CEmit", "IRView", "Packaging", "RuntimeSources", "Synth", "Toolchain",
            ]),
        .executableTarget(
            name: "lmmc", dependencies: ["Driver", "Support", "Synth", "Work", arguments],
            linkerSettings: [.unsafeFlags(["-Xlinker", "-z", "-Xlinker", "relro", "-Xlinker", "-z", "-Xlinker", "now"])]),
        .target(name: "TestSupport", path: "Tests/TestSupport"),
        .testTarget(name: "ArchitectureTests", dependencies: ["TestSupport"]),
        .testTarget(name: "SupportTests", dependencies: ["Support", "TestSupport"]),
        .testTarget(name: "WorkTests", dependencies: ["Support", "Work"]),
        .testTarget(
            name: "CheckpointTests", dependencies: ["Checkpoint", "Support", "TestSupport"],
            exclude: ["keys.json", "make_keys.py", "make_rotary.py", "rotary.json"]),
        .testTarget(name: "ChatTemplateTests", dependencies: ["ChatTemplate", "Support"], exclude: ["Cases", "make_cases.py"]),
        .testTarget(name: "IRTests", dependencies: ["IR", "Support"]),
        .testTarget(name: "IRTextTests", dependencies: ["IRText", "IR", "Support", "TestSupport"]),
        .testTarget(
            name: "ReferenceTests", dependencies: ["FoldProduct", "Reference", "IRText", "IR", "Support", "TestSupport"],
            exclude: ["golden.py", "golden.json"]),
        .testTarget(name: "WeightsTests", dependencies: ["IR", "IRText", "Reference", "Support", "TestSupport", "Weights"]),
        .testTarget(
            name: "PassesTests", dependencies: ["Passes", "Reference", "IRText", "IR", "Support", "TestSupport"], exclude: ["Cases"]),
        .testTarget(
            name: "DifferentialTests",
            dependencies: [
                "Checkpoint", "ModelImport", "Passes", "Reduction", "Reference", "IRText", "IR", "Support", "TestSupport",
            ]),
        .testTarget(name: "PlanTests", dependencies: ["Plan", "IRText", "IR", "Support"]),
        .testTarget(name: "IRViewTests", dependencies: ["IRView", "IRText", "IR"]),
        .testTarget(
            name: "CEmitTests", dependencies: ["CEmit", "ChatTemplate", "Plan", "IRText", "IR", "Support", "TestSupport"],
            exclude: ["Golden"]),
        .testTarget(name: "ToolchainTests", dependencies: ["RuntimeSources", "Support", "TestSupport", "Toolchain", "Work"]),
        .testTarget(name: "PackagingTests", dependencies: ["Checkpoint", "Packaging", "Support"]),
        .testTarget(name: "SynthTests", dependencies: ["Checkpoint", "Synth", "TestSupport"]),
        .testTarget(
            name: "DriverTests",
            dependencies: [
                "Driver", "Checkpoint", "Passes", "IRText", "IR", "RuntimeSources", "Support", "Synth", "TestSupport", "Toolchain", "Work",
            ]),
    ],
    cLanguageStandard: .gnu11
)

// Warnings are errors in what Tests/run.sh builds; compilers of users have others, and no warning stops their builds.
if Context.environment["LMMC_STRICT"] == "1" {
    for target in package.targets where target.type != .plugin {
        target.swiftSettings = (target.swiftSettings ?? []) + [.unsafeFlags(["-warnings-as-errors"])]
        target.cSettings = (target.cSettings ?? []) + [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])]
    }
}
