package kernel

//go:generate go -C gen run . -kernels gemm -pkg kernel -out ../gemm_amd64.s -stubs ../gemm_stubs_amd64.go
//go:generate go -C gen run . -kernels vector -pkg kernel -out ../vector_amd64.s -stubs ../vector_stubs_amd64.go
