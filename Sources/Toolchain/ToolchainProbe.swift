import RuntimeSources
import Work

/// The programs that ask a C compiler what it can do.
public enum ProbeProgram {
    /// Calls into every library that an emitted program needs and runs a parallel region; prints its number of threads.
    /// That many threads, not the macro _OPENMP, is the question: clang's `-fopenmp=libgomp` defines it and runs serial code.
    static func whole(blas: Bool, server: Bool) -> String {
        """
        #define _GNU_SOURCE
        #include <math.h>
        #include <omp.h>
        #include <pthread.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <histedit.h>
        #include <jansson.h>
        #include <jpeglib.h>
        #include <png.h>
        #include <termcap.h>
        #include <webp/decode.h>
        #include <webp/demux.h>
        #include <unistd.h>
        #include <zlib.h>
        \(server ? "#include <event2/event.h>\n#include <event2/http.h>" : "")
        \(blas ? "#include <cblas.h>" : "")

        static pthread_t threads[64];

        int main(int argc, char **argv) {
          int different = 1;
          alarm(120);  // OpenBLAS asks for memory for ever when it gets none
        #pragma omp parallel num_threads(2)
          threads[omp_get_thread_num() & 63] = pthread_self();
          for (int i = 1; i < 64; i++) different += threads[i] != 0 && threads[i] != threads[0];
          struct jpeg_decompress_struct jpeg;
          struct jpeg_error_mgr manager;
          jpeg.err = jpeg_std_error(&manager);
          jpeg_create_decompress(&jpeg);
          jpeg_destroy_decompress(&jpeg);
          png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
          png_destroy_read_struct(&png, NULL, NULL);
          EditLine *editor = argc > 9 ? el_init(argv[0], stdin, stdout, stderr) : NULL;
          if (editor && tgetent(NULL, argv[1]) == 1) el_end(editor);
          double sum = WebPGetDecoderVersion() + WebPGetDemuxVersion() + (zlibVersion() != NULL) + (jansson_version_str() != NULL) + erf(argc * 0.5);
        \(server ? "  struct event_base *base = event_base_new();" : "")
        \(server ? "  struct evhttp *http = base ? evhttp_new(base) : NULL;" : "")
        \(server ? "  if (!http) return 4;\n  evhttp_free(http);\n  event_base_free(base);" : "")
        \(blas ? "  float a[4] = {1, 2, 3, 4}, b[4] = {1, 0, 0, 1}, c[4];" : "")
        \(blas ? "  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, 2, 2, 2, 1, a, 2, b, 2, 0, c, 2);" : "")
        \(blas ? "  if (c[0] != 1 || c[3] != 4) return 3;" : "")
          printf("%d\\n", different);
          return argv == NULL || sum < 1;
        }
        """ + "\n" + RuntimeFile.named("system/shared_memory.c").text
    }

    /// Includes the headers of other packages that the runtime includes; those of vector instructions are the compiler's own.
    static let headers: String = {
        let ownOfCompilers: Set = ["arm_neon.h", "cpuid.h", "immintrin.h"]
        var names: Set<String> = []
        for file in RuntimeFile.all {
            for line in file.text.split(separator: "\n") where line.hasPrefix("#include <") {
                names.insert(String(line.dropFirst("#include <".count).prefix { $0 != ">" }))
            }
        }
        // jpeglib.h wants to be behind stdio.h.
        return
            (["#define _GNU_SOURCE", "#include <stdio.h>"]
            + names.subtracting(ownOfCompilers).sorted().flatMap {
                ["#if __has_include(<\($0)>)", "#include <\($0)>", "#endif"]
            }).joined(separator: "\n") + "\n"
    }()

    /// One thing that an emitted program needs, asked for by itself to name what is missing.
    public struct Requirement: Sendable {
        public var name: String
        /// The Debian and Ubuntu package that brings it.
        public var package: String
        var program: String
        var flags: [String]
        /// What does without it
        var instead: String?
    }

    public static func requirements(isClang: Bool, target: Target, needs: LibraryNeeds, blas: BLAS?) -> [Requirement] {
        let (triple, debianName) = (target.architecture.triple, target.architecture.debianName)
        func package(_ name: String) -> String { target.isHosts ? name : "\(name):\(debianName)" }
        func calling(_ header: String, _ statement: String) -> String {
            "#include <stddef.h>\n#include <stdio.h>\n#include <\(header)>\nint main(void) { \(statement); return 0; }\n"
        }
        var list = [
            Requirement(
                name: "the C library", package: target.isHosts ? "libc6-dev" : "libc6-dev-\(debianName)-cross",
                program: calling("stdlib.h", "puts(\"\")"), flags: []),
            Requirement(
                name: "OpenMP",
                package: isClang ? package("libomp-dev") : target.isHosts ? "gcc" : "gcc-" + triple.replacing("_", with: "-"),
                program: calling("omp.h", "omp_set_num_threads(2)"),
                flags: ["-fopenmp"]),
            Requirement(
                name: "libjpeg", package: package("libjpeg-dev"),
                program: calling("jpeglib.h", "struct jpeg_error_mgr m; jpeg_std_error(&m)"), flags: ["-ljpeg"]),
            Requirement(
                name: "libpng", package: package("libpng-dev"), program: calling("png.h", "png_access_version_number()"), flags: ["-lpng"]),
            Requirement(
                name: "libwebp", package: package("libwebp-dev"),
                program: "#include <webp/decode.h>\n#include <webp/demux.h>\n"
                    + "int main(void) { return WebPGetDecoderVersion() + WebPGetDemuxVersion() == 0; }\n",
                flags: ["-lwebpdemux", "-lwebp"]),
            Requirement(
                name: "Jansson", package: package("libjansson-dev"), program: calling("jansson.h", "jansson_version_str()"),
                flags: ["-ljansson"]),
            Requirement(
                name: "libedit", package: package("libedit-dev"),
                program: calling("histedit.h", "el_end(el_init(\"\", stdin, stdout, stderr))"), flags: Toolchain.editorLibraries),
            Requirement(name: "zlib", package: package("zlib1g-dev"), program: calling("zlib.h", "zlibVersion()"), flags: ["-lz"]),
        ]
        if needs.server {
            list.append(
                Requirement(
                    name: "libevent", package: package("libevent-dev"),
                    program: calling("event2/http.h", "evhttp_free(evhttp_new(NULL))"), flags: Toolchain.serverLibraries,
                    instead: "'--serve no'"))
        }
        if let blas {
            list.append(
                Requirement(
                    name: "OpenBLAS", package: package("libopenblas-openmp-dev"),
                    program: calling("cblas.h", "float a[1] = {1}; cblas_sscal(1, 2, a, 1)"), flags: blas.compileFlags + blas.linkFlags))
        }
        return list
    }
}
