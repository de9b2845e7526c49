import CEmit
import Glibc
import Packaging
import RuntimeSources
import Support
import Toolchain
import Work

/// The folder that `--emit c` makes: sources, weights and a script that builds them by hand.
enum SourceFolder {
    static let weightsName = "weights.bin"
    /// A folder with this file is one that lmmc made and may replace.
    static let markName = "lmmc-info.json"

    /// The first file of `folder`, as a path in it, that is not one of those that lmmc writes there; nil when all are.
    static func foreignFile(in folder: String, under prefix: String = "") throws(Diagnostic) -> String? {
        let own = RuntimeFile.all.map(\.path) + ["model.c", "program.c", "build.sh", weightsName, markName]
        for name in try folderContents(folder).sorted() {
            let (path, inner) = (joinedPath(folder, name), prefix + name)
            if own.contains(inner) { continue }
            guard fileKind(path) == .folder, own.contains(where: { $0.hasPrefix(inner + "/") }) else { return inner }
            if let foreign = try foreignFile(in: path, under: inner + "/") { return foreign }
        }
        return nil
    }

    /// `units`: what to compile, relative to the folder.
    static func buildScript(program: String, units: [CompiledUnit], target: Target, needs: LibraryNeeds) -> String {
        let lines = units.map { unit in
            (["compile", unit.source, unit.objectName] + (unit.level?.allFlags ?? [])).joined(separator: " ")
        }
        let blas = """
            # The OpenBLAS that shares OpenMP's threads where there is one, else the linker's own choice.
            blas_include= blas_library=-lopenblas
            openblas=$($CC -print-multiarch)/openblas-openmp
            if [ -e "/usr/lib/$openblas/libopenblas.so" ]; then
              blas_include=-I/usr/include/$openblas
              blas_library="-L/usr/lib/$openblas -lopenblas"
            fi

            """
        let requirements = ProbeProgram.requirements(
            isClang: false, target: target, needs: needs, blas: needs.blas ? BLAS.candidates(multiarch: "").last : nil)
        let hardening = Toolchain.hardeningFlags(target.architecture).map { flags in
            "harden '\(flags.joined(separator: " "))'"
                + (flags.compactMap { flag in
                    Toolchain.lesserFlags[flag].map { " || harden '\(flags.joined(separator: " ").replacing(flag, with: $0))'" }
                }.joined())
        }
        let names = requirements.map(\.package)
        let packages = target.isHosts ? names.joined(separator: " ") : target.architecture.installCommand(names)
        return """
            #!/bin/sh
            # sh build.sh [OUTPUT]: builds the program from these sources. CC and CFLAGS may be set.
            # Debian and Ubuntu: \(packages)
            set -eu
            output=${1:-\(shellQuoted(program))}
            case $output in /*) ;; *) output=$PWD/$output ;; esac
            build=$(mktemp -d)
            trap 'rm -rf "$build"' EXIT
            trap 'exit 1' INT TERM HUP
            # Programs are run from there, which a noexec file system forbids.
            printf '#!/bin/sh\\n' >"$build/try"
            chmod +x "$build/try"
            "$build/try" 2>/dev/null || { rm -rf "$build" && build=$(mktemp -d "$(dirname "$output")/.build-XXXXXX"); }
            case $build in /*) ;; *) build=$PWD/$build ;; esac
            # A relative one would mean another folder below.
            export TMPDIR="$build"
            cd "$(dirname "$0")"
            CFLAGS=${CFLAGS:--O3}
            # Not every compiler has OpenMP: a Swift toolchain's clang may come first in PATH and has none.
            if [ -z "${CC:-}" ]; then
              printf '#include <omp.h>\\nint main(void) { return omp_get_max_threads() < 1; }\\n' >"$build/try.c"
              for CC in \(target.isHosts ? "gcc cc /usr/bin/clang clang" : target.architecture.triple + "-gcc") ''; do
                [ -z "$CC" ] || ! $CC -fopenmp "$build/try.c" -o "$build/try" 2>/dev/null || break
              done
              [ -n "$CC" ] || { echo "error: no C compiler here makes OpenMP programs; expected gcc, or clang with libomp-dev, or CC" >&2; exit 1; }
            fi

            # What makes an error of the code end the program rather than run on, as far as the compiler knows it; sanitizers find it themselves.
            hardening= link_hardening="\(Toolchain.hardeningLinkFlags.joined(separator: " "))"
            harden() {
              $CC $CFLAGS -Werror $1 -c "$build/harden.c" -o "$build/harden.o" 2>"$build/log" && hardening="$hardening $1"
            }
            printf '#include <stdio.h>\\nint main(void) { return puts("") < 0; }\\n' >"$build/harden.c"
            case $CFLAGS in *-fsanitize*) ;; *)
            \(hardening.map { "  " + $0 + " || true" }.joined(separator: "\n"))
            esac

            \(needs.blas ? blas + "\n" : "")mkdir "$build/objects"
            compile() {  # SOURCE OBJECT FLAGS...
              source=$1 object=$build/objects/$2
              shift 2
              $CC -std=gnu11 \(target.isNative ? "-march=native" : target.flags.joined(separator: " ")) $hardening $CFLAGS "$@" -fopenmp -fPIE -Wall -Wextra '\(Toolchain.optionalFlag)'\(needs.blas ? " $blas_include" : "") -I. \\
                -c "$source" -o "$object"
            }
            \(lines.joined(separator: "\n"))

            # A static program runs anywhere; where a library has no archive (libomp) and under sanitizers a dynamic one is made.
            libraries="\(Toolchain.programLibraries(needs).joined(separator: " "))\(needs.blas ? " $blas_library" : "") -lpthread -lm"
            case $CFLAGS in *-fsanitize*) static=false ;; *) static="$CC $CFLAGS $link_hardening -static-pie" ;; esac
            $static -fopenmp "$build/objects"/*.o -o "$build/program" $libraries 2>"$build/log" ||
              $CC $CFLAGS $link_hardening -fopenmp "$build/objects"/*.o -o "$build/program" -Wl,--as-needed $libraries

            \(target.isHosts ? "$CC" : "${HOSTCC:-gcc}") -std=gnu11 -O2 -fstack-protector-strong -Iattach/include -Icontract attach/attach.c attach/program.c -o "$build/attach"
            "$build/attach" "$build/program" \(weightsName) "$output"
            """ + "\n"
    }

    private static func shellQuoted(_ text: String) -> String {
        let safe = text.unicodeScalars.map { scalar in
            scalar.isASCII
                && (scalar.properties.isAlphabetic || scalar.properties.numericType != nil || "._-".unicodeScalars.contains(scalar))
                ? Character(scalar) : "_"
        }
        // The folder of the sources holds files of these names.
        let name = String(safe).trimmingPrefix(while: { $0 == "-" || $0 == "." })
        return name.isEmpty || name.hasSuffix(".c") || name.hasSuffix(".h") ? "program" : "\(name)"
    }
}

extension Compilation {
    func makeSources() throws(Diagnostic) {
        let target = withoutTrailingSlashes(options.output)
        try checkFreeSpace(for: target, bytes: layout.totalBytes + Toolchain.programBytes / 8)
        let folder = try TemporaryFolder(in: parentFolder(target), prefix: ".lmmc-")
        defer { folder.discard() }
        try progress.stage("emit") { () throws(Diagnostic) in
            let emitted = try emittedFiles(nil)
            for file in emitted { try writeFile(folder.file(file.name), file.text) }
            try RuntimeFile.write(runtimeFiles, to: folder.path)
            let script = SourceFolder.buildScript(
                program: front.checkpoint.configuration.name + ".bin", units: compiledUnits(emitted), target: self.target,
                needs: libraryNeeds)
            try writeFile(folder.file("build.sh"), script, mode: 0o777)
            let description = try front.describe(plan, layout, options: options.model, target: self.target)
            try writeFile(folder.file(SourceFolder.markName), description.info + "\n")
        }
        try progress.stage("weights", totalBytes: layout.totalBytes) { () throws(Diagnostic) in
            let path = folder.file(SourceFolder.weightsName)
            let number = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
            guard number >= 0 else { throw .system("create", path: path, code: errno) }
            defer { close(number) }
            let sums = AttachmentSums(of: layout.sumsOffset)
            try writeAttachment(to: StreamedFile(number, path: options.output, sums: sums), at: 0, sums)
            guard fsync(number) == 0 else { throw .system("write", path: options.output, code: errno) }
        }
        // An older folder of ours moves out of the way first and goes only when the new one is in place.
        if let old = fileKind(target), old == .folder, !(try folderContents(target).isEmpty) {
            let aside = try TemporaryFolder(in: parentFolder(target), prefix: ".lmmc-old-")
            defer { aside.discard() }
            guard rename(target, aside.file("folder")) == 0 else { throw .system("replace", path: target, code: errno) }
            do throws(Diagnostic) { try folder.rename(to: target) } catch {
                rename(aside.file("folder"), target)
                throw error
            }
        } else {
            try folder.rename(to: target)
        }
    }
}
