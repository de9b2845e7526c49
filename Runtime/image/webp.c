#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

#include "image_internal.h"

// The demuxer serves simple and animated files alike and refuses incomplete ones. A first frame smaller than the canvas
// stands on black: transparent, whose colour is what is left when alpha is dropped.
static bool read_image(WebPDemuxer *demuxer, WebPIterator *frame, const char *name, int64_t most, lmmc_image *out, lmmc_error *e) {
  uint32_t width = WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_WIDTH), height = WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_HEIGHT);
  if (!lmmc_image_allocate(width, height, name, most, out, e)) return false;
  if (!WebPDemuxGetFrame(demuxer, 1, frame)) return lmmc_fail(e, 1, "'%s' is a WebP file without an image", name);
  if (frame->x_offset < 0 || frame->y_offset < 0 || frame->width < 1 || frame->height < 1 || frame->width > out->width - frame->x_offset ||
      frame->height > out->height - frame->y_offset)
    return lmmc_fail(e, 1, "'%s' is not a valid WebP image: its first frame exceeds the canvas", name);

  size_t stride = (size_t)out->width * 3, all = stride * (size_t)out->height;
  if (frame->width < out->width || frame->height < out->height) memset(out->rgb, 0, all);
  // RGB without alpha is not premultiplied: the colour as it was stored.
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config)) return lmmc_fail(e, 1, "the libwebp in use is not the one compiled for");
  size_t offset = (size_t)frame->y_offset * stride + (size_t)frame->x_offset * 3;
  config.output.colorspace = MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA = (WebPRGBABuffer){.rgba = out->rgb + offset, .stride = (int)stride, .size = all - offset};
  VP8StatusCode status = WebPDecode(frame->fragment.bytes, frame->fragment.size, &config);
  if (status == VP8_STATUS_OK) return true;
  if (status == VP8_STATUS_OUT_OF_MEMORY) return lmmc_fail(e, 1, "out of memory for '%s'", name);
  return lmmc_fail(e, 1, "'%s' is not a valid WebP image: its pixel data is %s", name,
                   status == VP8_STATUS_NOT_ENOUGH_DATA || status == VP8_STATUS_SUSPENDED ? "truncated" : "damaged");
}

bool lmmc_read_webp(const uint8_t *bytes, size_t size, const char *name, int64_t most, lmmc_image *out, lmmc_error *e) {
  WebPData data = {bytes, size};
  WebPDemuxer *demuxer = WebPDemux(&data);
  if (!demuxer) {
    uint32_t declared = (uint32_t)bytes[4] | (uint32_t)bytes[5] << 8 | (uint32_t)bytes[6] << 16 | (uint32_t)bytes[7] << 24;
    if (size - 8 < declared)
      return lmmc_fail(e, 1, "'%s' is truncated: its WebP header declares %llu bytes, and it has %zu", name,
                       (unsigned long long)declared + 8, size);
    return lmmc_fail(e, 1, "'%s' is not a valid WebP image: its chunks are damaged", name);
  }
  WebPIterator frame;
  memset(&frame, 0, sizeof frame);
  bool ok = read_image(demuxer, &frame, name, most, out, e);
  WebPDemuxReleaseIterator(&frame);
  WebPDemuxDelete(demuxer);
  return ok;
}
