"""libbpf, by way of cffi: the declarations that the loader uses, and its messages as exceptions."""

from __future__ import annotations

import errno
import os
import threading
from typing import Any

import cffi

from raqib.errors import NotPermittedError, RaqibError
from raqib.kernel.layout import ffi

ffi.cdef("""
struct bpf_object; struct bpf_map; struct bpf_program; struct bpf_link; struct ring_buffer;
struct bpf_object *bpf_object__open_file(const char *path, const void *opts);
int bpf_object__load(struct bpf_object *object);
void bpf_object__close(struct bpf_object *object);
struct bpf_map *bpf_object__find_map_by_name(const struct bpf_object *object, const char *name);
struct bpf_program *bpf_object__find_program_by_name(const struct bpf_object *object, const char *name);
struct bpf_program *bpf_object__next_program(const struct bpf_object *object, struct bpf_program *program);
const char *bpf_program__name(const struct bpf_program *program);
const char *bpf_program__section_name(const struct bpf_program *program);
int bpf_program__set_autoload(struct bpf_program *program, bool autoload);
int bpf_program__fd(const struct bpf_program *program);
struct bpf_link *bpf_program__attach(const struct bpf_program *program);
struct bpf_link *bpf_program__attach_cgroup(const struct bpf_program *program, int cgroup_fd);
struct bpf_link *bpf_link__open(const char *path);
int bpf_link__fd(const struct bpf_link *link);
int bpf_link__pin(struct bpf_link *link, const char *path);
int bpf_link__update_program(struct bpf_link *link, struct bpf_program *program);
int bpf_obj_get(const char *path);
struct bpf_link_info { __u32 type; __u32 id; __u32 prog_id; __u32 pad; __u64 cgroup_id; __u32 attach_type; __u32 pad2;
    __u64 more[4]; };
int bpf_obj_get_info_by_fd(int fd, void *info, __u32 *size);
int bpf_link__destroy(struct bpf_link *link);
int bpf_map__fd(const struct bpf_map *map);
int bpf_map__set_pin_path(struct bpf_map *map, const char *path);
int bpf_map__set_max_entries(struct bpf_map *map, __u32 entries);
__u32 bpf_map__max_entries(const struct bpf_map *map);
struct bpf_map_create_opts {
    size_t sz; __u32 btf_fd; __u32 btf_key_type_id; __u32 btf_value_type_id; __u32 btf_vmlinux_value_type_id;
    __u32 inner_map_fd; __u32 map_flags;
};
int bpf_map_create(int type, const char *name, __u32 key_size, __u32 value_size, __u32 entries,
    const struct bpf_map_create_opts *opts);
int bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags);
int bpf_map_lookup_elem(int fd, const void *key, void *value);
int bpf_map_delete_elem(int fd, const void *key);
int bpf_map_lookup_and_delete_elem(int fd, const void *key, void *value);
int bpf_map_get_next_key(int fd, const void *key, void *next);
int bpf_map_update_batch(int fd, const void *keys, const void *values, __u32 *count, const void *opts);
int bpf_map_lookup_batch(int fd, void *in, void *out, void *keys, void *values, __u32 *count, const void *opts);
int bpf_iter_create(int link_fd);
struct bpf_test_run_opts {
    size_t sz; const void *data_in; void *data_out; __u32 data_size_in; __u32 data_size_out;
    const void *ctx_in; void *ctx_out; __u32 ctx_size_in; __u32 ctx_size_out;
    __u32 retval; int repeat; __u32 duration; __u32 flags; __u32 cpu; __u32 batch_size;
};
int bpf_prog_test_run_opts(int fd, struct bpf_test_run_opts *opts);
typedef int (*ring_buffer_sample_fn)(void *ctx, void *data, size_t size);
struct ring_buffer *ring_buffer__new(int map_fd, ring_buffer_sample_fn sample, void *ctx, const void *opts);
void ring_buffer__free(struct ring_buffer *ring);
int ring_buffer__consume(struct ring_buffer *ring);
int ring_buffer__epoll_fd(const struct ring_buffer *ring);
int libbpf_num_possible_cpus(void);
__u32 libbpf_major_version(void); __u32 libbpf_minor_version(void);
struct btf; struct btf *btf__load_vmlinux_btf(void); void btf__free(struct btf *btf);
__s32 btf__find_by_name_kind(const struct btf *btf, const char *name, __u32 kind);
typedef int (*libbpf_print_fn_t)(int level, const char *format, void *arguments);
libbpf_print_fn_t libbpf_set_print(libbpf_print_fn_t print);
int vsnprintf(char *text, size_t size, const char *format, void *arguments);
""")

_SONAME = "libbpf.so.1"
_WARN = 0
_WARNING_BYTES = 1 << 20
_HEAD, _TAIL = 300, 1500


def _open(soname: str) -> Any:
    try:
        return ffi.dlopen(soname)
    except OSError as error:
        raise NotPermittedError(
            f"expected the library {soname}, found none ({error}); install it: apt-get install libbpf1"
        ) from error


def _shorten(text: str) -> str:
    """Leave out the middle of a long text: the verifier's log says at its end what is wrong."""
    return text if len(text) <= _HEAD + _TAIL else f"{text[:_HEAD]} […] {text[-_TAIL:]}"


class _Said(threading.local):
    """What libbpf has said of calls of this thread: objects may be loaded side by side."""

    def __init__(self) -> None:
        self.warnings: list[str] = []


_said = _Said()
_libc: Any = ffi.dlopen(None)


@ffi.callback("libbpf_print_fn_t")
def _keep_warning(level: int, form: cffi.FFI.CData, arguments: cffi.FFI.CData) -> int:
    """Take what libbpf says; there is one function for all threads, and it lives as long as the process."""
    if level == _WARN:
        text = ffi.new("char[]", _WARNING_BYTES)
        _libc.vsnprintf(text, _WARNING_BYTES, form, arguments)
        said = bytes(ffi.buffer(text)).partition(b"\0")[0]
        _said.warnings.append(_shorten(said.decode(errors="replace").strip()))
        del _said.warnings[:-100]
    return 0


class Libbpf:
    """The library, loaded when first asked for; keeps its last warnings."""

    def __init__(self) -> None:
        self.calls = _open(_SONAME)
        self.calls.libbpf_set_print(_keep_warning)

    @property
    def version(self) -> str:
        """Of the library that is installed here, such as `1.5`."""
        return f"{self.calls.libbpf_major_version()}.{self.calls.libbpf_minor_version()}"

    def warnings(self) -> list[str]:
        """Return what libbpf has said in this thread since the last call."""
        said, _said.warnings = _said.warnings, []
        return said

    def error(self, what: str, code: int | None = None) -> RaqibError:
        """Return an error for a failed call; `code` is a negative errno, else errno itself counts."""
        number = -code if code else ffi.errno
        detail = "; ".join(self.warnings()[-6:])
        text = f"{what}: {os.strerror(number)}" + (f" ({detail})" if detail else "")
        kind = NotPermittedError if number in (errno.EPERM, errno.EACCES) else RaqibError
        return kind(text)
