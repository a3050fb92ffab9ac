//go:build unix
package exec_test
import ("testing";osexec "os/exec";"swath/worker/exec";"os";"fmt";"path/filepath")
func BenchmarkBare(b *testing.B){ for b.Loop(){ if err:=osexec.Command("/bin/true").Run();err!=nil{b.Fatal(err)} } }
func BenchmarkStart(b *testing.B){ d:=b.TempDir(); i:=0; for b.Loop(){ i++
 p,err:=exec.Start(b.Context(),exec.Spec{Argv:[]string{"true"},AttemptDir:filepath.Join(d,fmt.Sprint(i))}); if err!=nil{b.Fatal(err)}; p.Wait() }; os.Remove("x") }
