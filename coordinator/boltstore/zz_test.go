package boltstore
import ("testing";"math/rand/v2";"time";"go.etcd.io/bbolt";"fmt";"swath/coordinator";"swath/sweeps")
func TestZZ(t *testing.T){
 s:=openHome(t,t.TempDir(),Options{NoSync:true})
 r:=rand.New(rand.NewPCG(1,2)); at:=benchEpoch
 pts:=make([]sweeps.Point,40000); for i:=range pts{pts[i]=benchPoint(r,&at,i)}
 n:=0
 st:=time.Now()
 for gen:=0;gen<10;gen++{ for f:=0;f<len(pts);f+=2000{ var bs []coordinator.Batch
  for i:=0;i<20;i++{ bs=append(bs,coordinator.Batch{Ref:sweeps.AttemptRef{TrialKey:sweeps.TrialKey{Sweep:"s",Index:int64(gen*20+i)},Attempt:1},First:int64(f),Points:pts[f:f+2000]}); n+=2000}
  if _,err:=s.Metrics.Append(bs);err!=nil{t.Fatal(err)} } }
 fmt.Println("points",n,time.Since(st))
 s.files[1].db.View(func(tx *bbolt.Tx)error{
  fmt.Println("file B/pt",float64(tx.Size())/float64(n))
  for _,b:=range metricsLayout.buckets{ st:=tx.Bucket(b).Stats(); 
   raw:=0; tx.Bucket(b).ForEach(func(k,v []byte)error{raw+=len(v);return nil})
   fmt.Printf("%s raw %.3f alloc %.3f inuse %.3f pages %d+%d\n",b,float64(raw)/float64(n),float64(st.LeafAlloc+st.BranchAlloc)/float64(n),float64(st.LeafInuse)/float64(n),st.LeafPageN,st.LeafOverflowN)}
  fmt.Println("free", s.files[1].db.Stats().FreePageN)
  return nil})
}
