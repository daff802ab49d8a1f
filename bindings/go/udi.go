// Package udi is libudi for Go: it pretrains vision transformers on your own images, without labels (UDI, Su & Ji, ECCV
// 2024), and takes out their tokens.
//
//	host, err := udi.NewContext(nil, nil) // the CPU, silent
//	model, err := udi.LoadModel(host, "checkpoint.safetensors", udi.Teacher)
//	batch, err := model.Prepare(ctx, []udi.Image{udi.Encoded(jpeg)})
//	tokens, err := model.Extract(ctx, batch, udi.NCHW, nil)
//	numbers, err := tokens.Floats() // of the shape tokens.Shape()
//
// Every function of udi.h is here; its header says more about each than the comments of this package.
//
// Errors are of type *Error. errors.Is compares one with a Code (ErrInvalid, ErrNotFound, ...), and with context.Canceled
// or context.DeadlineExceeded where a context.Context ended the call.
//
// Handles (Context, Model, Tensor, Views, Loader, Trainer) are given back by Close, in any order, or by the garbage
// collector, which does not know how much memory hangs on one: close what is large. Close may come while a call uses the
// handle; it then takes effect at the call's end.
//
// Goroutines: a Context and all that was made from it are one lane, for one goroutine at a time. A second one does not wait:
// it gets ErrState, as libudi's own threads do, since waiting would hide a mistake, and for ever so in a callback. Make a
// Context for each goroutine, and let them have one model's weights by Model.Share. Tensors are outside the lane, Context's
// Cancel and what only counts, too.
//
// Memory: what a call is given, it copies into C memory for as long as it runs, so slices are the caller's again when it
// returns, and no pointer of Go's stays in C. A Tensor is C memory: Extract takes the one that Prepare gave without a copy;
// Memory is for other memory that is not Go's.
//
// A process whose libudi does not fit this package ends in a panic when it starts, with both versions in the text.
package udi

// #cgo pkg-config: libudi
// #include <udi.h>
import "C"

import "encoding/json"

// Version is the library's, "0.1.0".
func Version() string { return C.GoString(C.udi_version_string()) }

// VersionNumber is the library's: major * 1000000 + minor * 1000 + patch.
func VersionNumber() uint32 { return uint32(C.udi_version()) }

// ABIVersion is the number in the library's soname.
func ABIVersion() uint32 { return uint32(C.udi_abi_version()) }

// Fingerprint names what the library's header declares: 64 hexadecimal digits.
func Fingerprint() string { return C.GoString(C.udi_api_fingerprint()) }

// BuildInfo is JSON: version, abi, the LibTorch that the library was built for and where it looks for it.
func BuildInfo() json.RawMessage { return json.RawMessage(C.GoString(C.udi_build_info())) }

// JobSchema is JSON: every job and its options (name, type, default, range, help).
func JobSchema() json.RawMessage { return json.RawMessage(C.GoString(C.udi_job_schema())) }
